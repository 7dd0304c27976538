"""Which rows of a source are rows of a table: rules by columns that change what a row means.

In: the parts of a table and its mapping. Out: SQL and models that `features.sources.staging` reads the rows by. May
import `features.sql` and `features.tables`.
"""
