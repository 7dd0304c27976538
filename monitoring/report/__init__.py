"""Pages for people and JSON for machines. Each page is one file that loads nothing and prints well.

In: tables of verdicts. Out: HTML and JSON files. Alone imports Evidently. May import `monitoring.watch` and
`training.judge`.
"""
