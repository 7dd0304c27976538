"""Which models serve: taken from the registry once they were tried, kept beside for when it is away.

In: the registry's versions. Out: the champions that answer now, and what is to be said of them.
May import `serving.answer` and `training.model`.
"""
