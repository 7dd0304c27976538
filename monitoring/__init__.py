"""Does what was learned still hold? Drift, fairness of decisions, and pages that say so.

In: feature rows, labels and the registry. Out: reports for people and for programs, attached to the champions' runs.
May import all before it.
"""
