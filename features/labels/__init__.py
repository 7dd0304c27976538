"""What came after a date: who left, and what each customer brought.

In: checked tables and a date. Out: labels, null where the outcome is not known yet; and who is a customer at all. One
file for each kind of churn; `by_kind` chooses. May import `features.columns`, `features.schema` and `features.windows`.
"""
