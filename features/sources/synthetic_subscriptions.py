"""Seeded made-up customers with contracts whose truth is known, see `features.synthetic_subscriptions`."""

from __future__ import annotations

from typing import Any

import pandas as pd

from configs.workspace import fingerprint
from features.sources.mapping import Seeded, parse


def load(options: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Generate the tables.

    Raises
    ------
    ConfigError
        An option is missing, unknown or out of its range.
    """
    from features.synthetic_subscriptions import generate

    return dict(generate(**parse(Seeded, options, "source.options").model_dump()).tables)


def mark(options: dict[str, Any]) -> str:
    """Hash of the options: they say everything."""
    parse(Seeded, options, "source.options")
    return fingerprint("synthetic_subscriptions", options)
