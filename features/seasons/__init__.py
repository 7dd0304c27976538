"""The season of a whole business: what the same time of earlier years tells of the days ahead.

In: checked tables and as-of dates. Out: index columns, the same for all customers of one date. May import
`features.labels`, `features.windows` and what these may.
"""
