"""What a model learns from: labelled rows, which dates are for what, who is weighed how, what may not be learned.

In: features and labels of a workspace. Out: a `Dataset` and a plan of folds and hold-out. May import `training.model`
and `training.metrics`.
"""
