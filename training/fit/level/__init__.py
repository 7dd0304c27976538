"""The level of all forecasts of a moment: how much of the season counts, how far a model of orders is off.

In: labelled rows of past moments. Out: parameters of a model, a shift of its raw score. May import what the modules
beside this folder may.
"""
