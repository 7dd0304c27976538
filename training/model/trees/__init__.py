"""Boosters read from LightGBM's text: raw scores and SHAP values of few rows or many, by compiled loops."""
