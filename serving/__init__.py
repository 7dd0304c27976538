"""From a customer id to an answer: risk, value, stage, reasons, action; over HTTP, or for all customers at once.

In: online feature rows, and the champions. Out: answers, and a record of each. May import `configs`, `features`, and of
training `training.model` alone.
"""
