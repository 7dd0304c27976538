"""Pages for people and JSON for machines. The only importer of Evidently.

In: tables of verdicts. Out: HTML and JSON files. May import `monitoring.watch` and `training.judge`.
"""
