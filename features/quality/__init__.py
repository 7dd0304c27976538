"""May this load be used? Each row is usable or quarantined with a reason; the load as a whole passes or stops.

In: raw tables. Out: validated tables, quarantined rows, findings, a report, and a verdict that `require` asks for. May
import `features.sources`, `features.labels` and `features.schema`.
"""
