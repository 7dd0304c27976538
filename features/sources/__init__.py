"""Raw tables out of what a company has: files, databases, and ready data sets.

In: the options of a source. Out: raw tables, named as in `features.schema.TABLES`, in text as they were found or as a
mapping reads them. `propose` writes a first mapping. May import `features.schema` and `features.simulation`.
"""
