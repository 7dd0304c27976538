"""What is to look at in a load though its rows are usable: columns that nobody reads, ids in doubt.

In: checked tables. Out: findings that warn. May import what `features.quality` may.
"""
