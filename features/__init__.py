"""From a company's tables to one row a customer: what was known, as of a date.

In: any CRM's files or database tables. Out: checked tables, quarantine and a quality report; feature rows and labels;
a feature store; an online store. May import `configs`. In the order of the data's way: `columns` and `labels` say what
is computed, `sources` reads, `quality` judges, `people` joins and forgets, `ingest` and `build` run, `store` keeps.
"""
