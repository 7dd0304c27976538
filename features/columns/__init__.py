"""The features: one function a column, an as-of table in, one aggregate a customer out.

In: Ibis expressions of rows known at a date (`features.windows`). Out: expressions, and the sentence that says a value.
A file holds one family. May import `features.windows`, nothing else of ours.
"""
