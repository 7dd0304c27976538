"""Raw tables out of what a company has: files, databases, and ready data sets.

In: the options of a source. Out: raw tables, named as in `features.tables.TABLES`, in text as they came or as a mapping
reads them. `files` and `database` open a source, `mapping` says what its columns mean, `part_reader` reads one file by
it, `expressions` one value, `staging` stacks and reads the rows; `propose` writes a first mapping; `data_sets` are
ready. May import `features.schema` and `features.simulation`.
"""
