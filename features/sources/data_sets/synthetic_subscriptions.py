"""Seeded made-up customers with contracts whose truth is known, see `features.simulation.subscriptions`."""

from __future__ import annotations

from typing import Any

import pandas as pd

from features.sources.mapping import load_seeded, seeded_fingerprint


def load(options: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Generate the tables, see `load_seeded`."""
    from features.simulation.subscriptions import generate

    return load_seeded(generate, options)


def source_fingerprint(options: dict[str, Any]) -> str:
    """Hash of the options, see `seeded_fingerprint`."""
    return seeded_fingerprint("synthetic_subscriptions", options)
