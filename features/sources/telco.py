"""Telco: IBM's fictional telephone company, one row a customer with the label ``Churn``, and no dates.

    source:
      loader: telco
      options: {path: "${STAYCAST_DATA}/Telco-Customer-Churn.csv"}

An environment variable in the path is filled in. ``TotalCharges`` is blank for customers in their first month; a
blank is a value that is not known. ``SeniorCitizen`` comes as 0 and 1.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd

from configs.errors import ConfigError, DataError
from configs.workspace import files_fingerprint, fingerprint

OURS = {"customerID": "customer_id", "Churn": "label"}


def load(options: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Read the export as the table ``profiles``.

    Raises
    ------
    ConfigError
        The options do not give exactly one path.
    DataError
        There is no such file, or it is not this export.
    """
    path = _path(options)
    profiles = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    missing = sorted(set(OURS) - set(profiles.columns))
    if missing:
        raise DataError(f"telco: '{path}' lacks the columns {missing}; it has {', '.join(profiles.columns)}")
    return {"profiles": profiles.rename(columns=OURS)}


def mark(options: dict[str, Any]) -> str:
    """Hash of the file."""
    return fingerprint("telco", files_fingerprint([_path(options)]))


def _path(options: dict[str, Any]) -> Path:
    if set(options) != {"path"}:
        raise ConfigError(f"source.options: telco takes the path of the CSV file and nothing else, got {options!r}")
    path = Path(os.path.expandvars(str(options["path"])))
    if not path.is_file():
        raise DataError(
            f"telco: no file at '{path}': download Telco-Customer-Churn.csv, and say where its folder is with the "
            "environment variable STAYCAST_DATA, or give its path under source.options.path"
        )
    return path
