"""In: forecasts, and contracts whose end is known. Out: forecasts that the known end does not contradict.

Imports nothing but numbers and tables.
"""
