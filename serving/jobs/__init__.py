"""Answers for all customers that a running service was asked for.

In: who asked for which format. Out: the same folder under ``state/scores`` as of the verb ``score``, by a process
of its own, of the lowest priority, one at a time for all workers. May import `serving.bulk` and `serving.records`.
"""
