"""When the rows of a load happened: rows far from all others, and days without rows.

In: checked tables. Out: tables without outlying rows, and findings. May import what `features.quality` may.
"""
