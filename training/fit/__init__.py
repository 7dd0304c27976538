"""Learning: the boosters, the search for their parameters, the models of further horizons, and small data.

In: a `Dataset`, a plan and settings. Out: `FittedModels`, the judged one and the one that serves. The only importer of
Optuna's samplers. May import `training.data`, `training.model` and `training.priors`.
"""
