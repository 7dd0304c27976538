"""From labelled customers to models that may serve: folds, search, calibration, gates, fairness and the ledger."""
