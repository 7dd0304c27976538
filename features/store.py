"""The feature store: the same definitions for training and for serving. The only module that imports Feast."""

from __future__ import annotations

import logging
import os
import runpy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from configs.errors import NotReadyError
from configs.workspace import Workspace
from features.schema import load_schema

REPO = Path(__file__).parent.parent / "feature_repo"
os.environ.setdefault("FEAST_USAGE", "False")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from feast import FeatureStore
    from feast.infra.offline_stores.offline_utils import DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL as EVENT_TIME

logging.getLogger("feast").setLevel(logging.WARNING)


def apply(workspace: Workspace) -> None:
    """Register the entity, the views and the services that the feature schema asks for.

    Raises
    ------
    NotReadyError
        No features were built yet.
    """
    load_schema(workspace.features)
    workspace.feast.mkdir(parents=True, exist_ok=True)
    with _environment(workspace), _quiet():
        wanted = runpy.run_path(str(REPO / "definitions.py"))
        store = FeatureStore(repo_path=str(REPO))
        old: list[Any] = [v for v in store.list_feature_views() if v.name not in {w.name for w in wanted["views"]}]
        store.apply([wanted["customer"], *wanted["views"], *wanted["services"]], objects_to_delete=old, partial=False)


def materialize(workspace: Workspace) -> int:
    """Put the rows of the newest moment online and return how many there are."""
    moments = pd.read_parquet(workspace.features / "rows.parquet", columns=["as_of"])["as_of"]
    newest = moments.max().to_pydatetime()
    store = _store(workspace)
    with _environment(workspace), _quiet():
        store.materialize(start_date=newest - timedelta(days=1), end_date=newest + timedelta(seconds=1))
    return int((moments == newest).sum())


def training_rows(workspace: Workspace, keys: pd.DataFrame, service: str) -> pd.DataFrame:
    """Join features to customers and moments, point-in-time, through the offline store.

    Parameters
    ----------
    workspace
        Holds the registered features.
    keys
        One row per customer and moment: ``customer_id, as_of``.
    service
        The feature service of a model: ``churn`` or ``clv``.

    Returns
    -------
    pandas.DataFrame
        ``customer_id, as_of``, then the features in schema order, sorted by moment and customer.
    """
    schema = load_schema(workspace.features)
    store = _store(workspace)
    asked = keys[["customer_id", "as_of"]].rename(columns={"as_of": EVENT_TIME})
    with _environment(workspace), _quiet():
        found = store.get_historical_features(asked, store.get_feature_service(service)).to_df()
    found = found.rename(columns={EVENT_TIME: "as_of"})
    found["as_of"] = pd.to_datetime(found["as_of"], utc=True).astype("datetime64[us, UTC]")
    return found[["customer_id", "as_of", *schema.names]].sort_values(["as_of", "customer_id"], ignore_index=True)


class OnlineFeatures:
    """Reads the newest features of customers from the online store.

    Parameters
    ----------
    workspace
        Holds the registered and materialized features.

    Raises
    ------
    NotReadyError
        Nothing was materialized yet.
    """

    def __init__(self, workspace: Workspace, service: str = "churn") -> None:
        if not (workspace.feast / "online.db").is_file():
            raise NotReadyError(f"no online features in workspace '{workspace.root}': run `staycast features` first")
        self._schema = load_schema(workspace.features)
        self._store = _store(workspace)
        self._service = self._store.get_feature_service(service)
        self._numbers = [f.name for f in self._schema.features if f.dtype == "float64"]

    @property
    def schema_hash(self) -> str:
        """Hash of the feature schema that is read."""
        return self._schema.hash

    def read(self, customer_ids: list[str]) -> pd.DataFrame:
        """Return one row per id in the order asked: ``customer_id, as_of``, then the features in schema order.

        ``as_of`` is NaT where the id is unknown. The online store returns old values as if they were new; the
        moment tells their age.
        """
        answer = self._store.get_online_features(
            features=self._service, entity_rows=[{"customer_id": i} for i in customer_ids]
        )
        found = answer.to_dict(include_event_timestamps=True)
        return self._frame(found, customer_ids)

    def _frame(self, found: dict[str, list[Any]], customer_ids: list[str]) -> pd.DataFrame:
        numbers = np.array([found[name] for name in self._numbers], dtype=np.float64)
        frame = pd.DataFrame(numbers.T, columns=self._numbers)
        for name in self._schema.categories:
            frame[name] = np.array(found[name], dtype=object)
        seconds = np.array(found[f"{self._schema.names[0]}__ts"], dtype="datetime64[s]")
        known = np.where(seconds > np.datetime64(0, "s"), seconds, np.datetime64("NaT"))
        frame["as_of"] = pd.DatetimeIndex(known.astype("datetime64[us]")).tz_localize("UTC")
        frame["customer_id"] = customer_ids
        return frame[["customer_id", "as_of", *self._schema.names]]


def _store(workspace: Workspace) -> FeatureStore:
    if not (workspace.feast / "registry.db").is_file():
        raise NotReadyError(f"no feature store in workspace '{workspace.root}': run `staycast features` first")
    with _environment(workspace), _quiet():
        return FeatureStore(repo_path=str(REPO))


@contextmanager
def _environment(workspace: Workspace) -> Iterator[None]:
    """Name the workspace to ``feature_store.yaml`` and ``definitions.py``, which Feast reads by itself."""
    before = os.environ.get("STAYCAST_WORKSPACE")
    os.environ["STAYCAST_WORKSPACE"] = str(workspace.root.resolve())
    try:
        yield
    finally:
        if before is None:
            del os.environ["STAYCAST_WORKSPACE"]
        else:
            os.environ["STAYCAST_WORKSPACE"] = before


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Feast's warnings and its own progress lines off the screen."""
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        yield
