"""From labelled customers to models that may serve: folds, metrics, gates, fairness, figures and the promotion ledger."""
