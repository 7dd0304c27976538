"""Ready sources: public data sets, and made-up customers. ``load(options)`` and ``fingerprint(options)`` in each.

In: a path, or a seed. Out: raw tables. May import `features.sources.mapping`, `features.schema`, `features.simulation`.
"""
