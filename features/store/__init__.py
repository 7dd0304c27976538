"""Where features and events are kept: Feast, the online rows in SQLite or Redis, and the durable event log.

In: feature rows; events between two loads. Out: point-in-time rows for training, newest rows for serving. The only
importer of Feast and Redis. May import `features.ingest` and all below it.
"""
