"""How good is it? Baselines, the examination on the hold-out, past dates, campaigns, fairness, plots and gates.

In: fitted models and rows they have not seen. Out: metrics with intervals, figures, and a decision with its reasons.
Nothing here touches the registry. May import `training.fit` and all below it.
"""
