"""From labelled customers to models that may serve: folds, search, calibration, gates, and the registry.

In: feature rows and labels through the feature store. Out: registered versions in MLflow, an alias for the one that
serves, and a ledger of who decided what. May import `configs` and `features`. In the order of the way: `priors` and
`model` say what a forecast is, `data` what it learns from, `fit` learns, `judge` measures, `registry` records;
`run` is the recipe.
"""
