"""Numbers as people write them, and money in several currencies -> numbers, in one currency.

In: texts, names of columns, a table of rates. Out: SQL that reads a text, codes of currencies, amounts in the
currency of the business. May import `features.sql` and `features.tables`.
"""
