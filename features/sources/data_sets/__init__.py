"""Ready sources: public data sets, and simulations. ``load(options)`` and ``source_fingerprint(options)`` in each.

In: a path, or a seed (`options`). Out: raw tables. May import the modules of `features.sources` that read by a mapping,
`features.schema` and `features.simulation`.
"""
