"""What a value model learns beside its main forecast, from past moments: how value goes on, at what level.

In: fitted models, labelled rows, outcomes of other lengths. Out: the same models, which tell more. May import the
rest of `training.fit`.
"""
