"""What is kept of a training: runs and versions in MLflow, the promotion ledger, overrides, the environment.

In: fitted models, an examination, a decision. Out: a version, an alias, an entry in the ledger. The only writer to
MLflow. May import `training.judge` and all below it.
"""
