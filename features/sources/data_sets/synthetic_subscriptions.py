"""Seeded made-up customers with contracts whose truth is known, see `features.simulation.subscriptions`."""

from __future__ import annotations

from typing import Any

import pandas as pd

from features.sources.mapping import load_seeded, mark_seeded


def load(options: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Generate the tables, see `load_seeded`."""
    from features.simulation.subscriptions import generate

    return load_seeded(generate, options)


def mark(options: dict[str, Any]) -> str:
    """Hash of the options, see `mark_seeded`."""
    return mark_seeded("synthetic_subscriptions", options)
