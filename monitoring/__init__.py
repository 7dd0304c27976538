"""Does what was learned still hold? Drift, matured outcomes, fairness of decisions, and what to do about them."""
