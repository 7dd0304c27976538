"""What every package rests on: settings, the workspace and its loads, fingerprints, the root of all errors.

In: a configuration file, a folder. Out: settings that were checked; where each file lies; who may write, one at a time;
where MLflow's database is and that its paths are of this place (`tracking`); a campaign's profit, which serving and
training both ask for. Imports no other package of the project.
"""
