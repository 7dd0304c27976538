"""Answers for all customers at once, as parquet and JSON lines.

In: the feature rows of a date, and the champions. Out: files under ``state/scores``. May import `serving.answer` and
`serving.records`.
"""
