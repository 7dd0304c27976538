"""What can be forecast without trees: models of orders, credible past rates, a ridge regression.

In: histories of customers in a few columns. Out: forecasts that stand alone where there is little to learn from, and
that trees correct elsewhere. May import `training.json_tuples`.
"""
