"""Persons behind ids: several ids of one person become one customer, and who was erased stays away.

In: the table ``identities``, and requests to erase. Out: an alias map, a suppression list of keyed hashes. May import
`features.quality`, `features.sources` and `features.schema`.
"""
