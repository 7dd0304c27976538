"""Seeded made-up customers with contracts whose truth is known, see `features.synthetic_subscriptions`."""

from __future__ import annotations

from typing import Any

import pandas as pd

from configs.errors import ConfigError, nearest
from configs.workspace import fingerprint

OPTIONS = ("customers", "months", "seed")


def load(options: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Generate the tables.

    Raises
    ------
    ConfigError
        An option is missing, unknown or out of its range.
    """
    from features.synthetic_subscriptions import generate

    _check(options)
    return dict(generate(**options).tables)


def mark(options: dict[str, Any]) -> str:
    """Hash of the options: they say everything."""
    _check(options)
    return fingerprint("synthetic_subscriptions", options)


def _check(options: dict[str, Any]) -> None:
    for name in options:
        if name not in OPTIONS:
            raise ConfigError(f"source.options: unknown option '{name}'{nearest(name, OPTIONS)}")
    missing = [name for name in OPTIONS if name not in options]
    if missing:
        raise ConfigError(f"source.options: the synthetic source of subscriptions needs {missing}")
