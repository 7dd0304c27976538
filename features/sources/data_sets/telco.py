"""Telco: IBM's fictional telephone company, one row a customer with the label ``Churn``, and no dates.

    source:
      loader: telco
      options: {path: "${STAYCAST_DATA}/Telco-Customer-Churn.csv"}

``TotalCharges`` is blank for customers in their first month; a blank is a value that is not known. ``SeniorCitizen``
comes as 0 and 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from configs.errors import DataError
from configs.fingerprint import files_fingerprint, fingerprint
from features.sources.data_sets.options import known_file

if TYPE_CHECKING:
    import pandas as pd

COLUMN_NAMES = {"customerID": "customer_id", "Churn": "label"}


def load(options: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Read the export as the table ``profiles``.

    Raises
    ------
    ConfigError, DataError
        See `features.sources.data_sets.options.known_file`; also where the file is not this export.
    """
    import pandas as pd

    path = known_file(options)
    profiles = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    missing = sorted(set(COLUMN_NAMES) - set(profiles.columns))
    if missing:
        raise DataError(f"telco: '{path}' lacks the columns {missing}; it has {', '.join(profiles.columns)}")
    return {"profiles": profiles.rename(columns=COLUMN_NAMES)}


def source_fingerprint(options: dict[str, Any]) -> str:
    """Hash of the file."""
    return fingerprint("telco", files_fingerprint([known_file(options)]))
