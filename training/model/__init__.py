"""What a trained model is: boosters, calibration, interval, explanation, horizons, reference; as plain files.

In: encoded feature rows. Out: the number that is served, its interval, its split into effects. All of training that
serving may import. May import `training.priors`.
"""
