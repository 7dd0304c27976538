"""Simulated customers with contracts, seeded, whose truth is known, see `features.simulation.subscriptions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from features.sources.data_sets.options import load_simulation, simulation_fingerprint

if TYPE_CHECKING:
    import pandas as pd


def load(options: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Generate the tables, see `load_simulation`."""
    from features.simulation.subscriptions import generate

    return load_simulation(generate, options)


def source_fingerprint(options: dict[str, Any]) -> str:
    """Hash of the options, see `simulation_fingerprint`."""
    return simulation_fingerprint("synthetic_subscriptions", options)
