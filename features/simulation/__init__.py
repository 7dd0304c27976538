"""Customers whose truth is known: seeded companies with orders, and with contracts.

In: numbers of customers and months, and a seed. Out: raw tables, and what no company knows: who leaves, when and why.
May import nothing of ours but `configs.errors`.
"""
