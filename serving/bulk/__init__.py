"""Answers for all customers at once, as parquet, JSON lines and CSV.

In: the rows online, from which the service answers, and the champions. Out: files under ``state/scores``, which parts
under ``state/scoring`` are joined to. May import `serving.answer` and
`serving.records`.
"""
