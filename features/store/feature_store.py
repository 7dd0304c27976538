"""The feature store: the same definitions for training and for serving. The only module that imports Feast."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Sequence
from datetime import datetime
from importlib.machinery import SourceFileLoader
from itertools import repeat
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from configs.errors import NotReadyError
from configs.files import replacing_file
from configs.libraries import without_typeguard
from configs.settings import Settings
from configs.workspace import Workspace
from configs.yaml_file import read_yaml
from features.labels.ready_label import known_to_have_left
from features.quality import quality_verdict
from features.schema import load_schema
from features.store.online_rows import BUSY_SECONDS_OF_A_FILL, configure_online_store, open_online_rows, table_name
from features.store.timestamps import from_micros, to_micros

with without_typeguard():
    from feast import FeatureStore, FeatureView, RepoConfig
    from feast.infra.offline_stores.offline_utils import DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL as EVENT_TIME
    from feast.infra.provider import get_provider

REPO = Path(__file__).parents[2] / "feature_repo"
WORKSPACE = "${STAYCAST_WORKSPACE}"  # stands in feature_store.yaml for the folder of the workspace
REGISTRY = "registry.db"
CHUNK = 20_000
OFFLINE = threading.Lock()  # Feast reads offline rows by the one connection of Ibis, which takes one thread at a time


def apply(workspace: Workspace, settings: Settings | None = None) -> None:
    """Register the entity, the views and the services that the feature schema asks for.

    Parameters
    ----------
    workspace
        Holds the features.
    settings
        Of the business: they say where the online store is. None: where it was, at first in SQLite.

    Raises
    ------
    NotReadyError
        No features were built yet.
    """
    definitions = _definitions(workspace)
    workspace.feast.mkdir(parents=True, exist_ok=True)
    if settings is not None:
        configure_online_store(workspace, settings)
    registry = workspace.feast / REGISTRY
    with replacing_file(registry) as new:  # Feast writes over it, and who reads at that moment would find half of it
        if registry.is_file():
            shutil.copyfile(registry, new)
        store = _connect(workspace, new)
        old: list[Any] = [view for view in store.list_feature_views() if view.name not in definitions]
        store.apply(list(definitions.values()), objects_to_delete=old, partial=False)


def materialize(workspace: Workspace) -> int:
    """Put the rows of the newest moment online and return how many there are; who is known to have left is not.

    Rows of an earlier moment go. Those of a later one, and of this one those that a refresh or an event wrote since the
    load, stay until `features.refresh.start_from_build` computes them again: an event is not taken back meanwhile.
    """
    path = workspace.features / "rows.parquet"
    newest = pd.read_parquet(path, columns=["as_of"])["as_of"].max()
    online, left = OnlineWriter(workspace, filling=True), known_to_have_left(workspace.features)
    file, known_by = pq.ParquetFile(path), known_by_load(workspace)
    count = 0
    for batch in file.iter_batches(CHUNK):
        rows = batch.to_pandas()
        rows = rows[(rows["as_of"] == newest) & ~rows["customer_id"].isin(left)]
        count += len(rows)
        online.write(rows, known_by)
    online.drop_older_than(newest)
    online.set_filled()
    online.close()
    return count


def known_by_load(workspace: Workspace, position: int = 0) -> int:
    """What tells of two online rows of one moment which knows more: when the load was read that the newer one rests on.

    Parameters
    ----------
    workspace
        Holds the current load.
    position
        How far the event log was read, see `features.store.event_log`: whoever knows later events knows more.

    Returns
    -------
    int
        Microseconds since 1970.
    """
    at = quality_verdict.loaded_at(workspace)
    return position if at is None else max(position, to_micros(at))


class OnlineWriter:
    """Writes feature rows of customers straight into the online store, all views at once.

    Feast's own way there makes a message of every single value; this takes the numbers as they are.

    Parameters
    ----------
    workspace
        Holds the registered features.
    filling
        All customers are about to be written. Otherwise they must be there: a Redis that was emptied is not filled
        by the few that are touched.
    busy_seconds
        How long to wait for another who writes.

    Raises
    ------
    NotReadyError
        Nothing was registered yet, or not all customers are online.
    StoreError
        The online store does not answer; so from every method.
    """

    def __init__(
        self, workspace: Workspace, filling: bool = False, busy_seconds: float = BUSY_SECONDS_OF_A_FILL
    ) -> None:
        store = open_feature_store(workspace)
        views = store.list_feature_views()
        self._views = {table_name(store.project, v.name): [f.name for f in v.features] for v in views}
        self._rows = open_online_rows(workspace.feast, busy_seconds)
        if not filling:
            self._rows.require_filled()

    def write(self, rows: pd.DataFrame, position: int) -> int:
        """Write feature rows; one that is older than what is online is left out.

        Parameters
        ----------
        rows
            ``customer_id, as_of`` (whole seconds), then all features.
        position
            What is known by the rows, see `known_by_load`; of two rows of one moment, the one that knows more stays.

        Returns
        -------
        int
            How many were written.
        """
        written = 0
        for start in range(0, len(rows), CHUNK):
            part = rows.iloc[start : start + CHUNK]
            keys = list(
                zip(part["customer_id"], map(to_micros, part["as_of"]), repeat(position, len(part)), strict=True)
            )
            tables: dict[str, tuple[Sequence[str], Sequence[Sequence[Any]]]] = {
                t: (n, [k + v for k, v in zip(keys, _values(part[n]), strict=True)]) for t, n in self._views.items()
            }
            written += self._rows.write(tables) // len(tables)
        return written

    def not_earlier(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Feature rows, each with no earlier ``as_of`` than the row that is online, so that it replaces that one.

        What is known of a customer may go less far than before: an event's order is another customer's in a later load.
        """
        before = self._moments(rows)
        return rows.assign(as_of=rows["as_of"].mask(before > rows["as_of"], before))

    def newer(self, rows: pd.DataFrame) -> list[str]:
        """Of the customers of these rows, those whose row online is of a later moment than theirs here."""
        return rows.loc[self._moments(rows) > rows["as_of"], "customer_id"].tolist()

    def _moments(self, rows: pd.DataFrame) -> pd.Series:
        """The moment of the row that is online of each of these customers; missing where there is none."""
        found = self._rows.read(next(iter(self._views)), [], rows["customer_id"].tolist())
        moments = rows["customer_id"].map({i: from_micros(row[0]) for i, row in found.items()})
        return pd.to_datetime(moments, utc=True).astype(rows["as_of"].dtype)

    def newer_than(self, as_of: datetime) -> list[str]:
        """Customers whose row online is of a later moment than this one."""
        return self._rows.newer_than(next(iter(self._views)), to_micros(as_of))

    def drop_older_than(self, as_of: datetime) -> None:
        """Take the rows of earlier moments than this one offline."""
        self._rows.drop_older_than(list(self._views), to_micros(as_of))

    def delete(self, customer_ids: list[str], as_of: datetime) -> None:
        """Take these customers offline, but whose row is of a later moment than this one."""
        self._rows.delete(list(self._views), customer_ids, to_micros(as_of))

    def erase(self, customer_ids: Sequence[str]) -> int:
        """Take these customers offline, whatever moment their row is of; how many were online."""
        return self._rows.erase(list(self._views), customer_ids)

    def require_writable(self) -> None:
        """Raise if nothing could be put online now, see `OnlineRows.require_writable`."""
        self._rows.require_writable()

    def set_filled(self) -> None:
        """Say that all customers are online now."""
        self._rows.set_filled()

    def close(self) -> None:
        """Close the file, or the connections."""
        self._rows.close()


def _values(part: pd.DataFrame) -> list[tuple[Any, ...]]:
    """The rows as plain values; a number that is not known is NaN, which SQLite keeps as null, a text None."""
    if (part.dtypes == np.float64).all():
        return list(map(tuple, part.to_numpy().tolist()))
    columns = [[None if pd.isna(v) else v for v in c] for _, c in part.items()]
    return list(zip(*columns, strict=True))


def training_rows(workspace: Workspace, keys: pd.DataFrame, service: str) -> pd.DataFrame:
    """Join features to customers and moments, point-in-time, through the offline store.

    A row counts at a moment only if it had been written by then: Feast compares ``known_at`` with the moment
    (``filter_by_created_timestamp``, off by default in Feast 0.67 and no key of ``feature_store.yaml``). So a row
    that was backfilled or corrected later changes nothing that was asked before.

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
    asked = keys[["customer_id", "as_of"]].rename(columns={"as_of": EVENT_TIME})
    with OFFLINE:
        store = open_feature_store(workspace)
        if _rows_elsewhere(store, workspace):
            apply(workspace)
            store = open_feature_store(workspace)
        found = _read_offline(store, asked, service)
    found = found.rename(columns={EVENT_TIME: "as_of"})
    found["as_of"] = pd.to_datetime(found["as_of"], utc=True).astype("datetime64[us, UTC]")
    return found[["customer_id", "as_of", *schema.names]].sort_values(["as_of", "customer_id"], ignore_index=True)


def _read_offline(store: FeatureStore, asked: pd.DataFrame, service: str) -> pd.DataFrame:
    """The features of a service, joined once: Feast would join each view by itself, and all views are of one file."""
    views = [store.get_feature_view(p.name) for p in store.get_feature_service(service).feature_view_projections]
    first = views[0]
    whole = FeatureView(
        name=service,
        entities=[store.get_entity(name) for name in first.entities],
        ttl=first.ttl,
        schema=[*first.entity_columns, *(feature for view in views for feature in view.features)],
        source=first.batch_source,
    )
    refs = [f"{service}:{feature.name}" for feature in whole.features]
    job = get_provider(store.config).get_historical_features(
        store.config, [whole], refs, asked, store.registry, store.project, False, filter_by_created_timestamp=True
    )
    return job.to_df()


def _rows_elsewhere(store: FeatureStore, workspace: Workspace) -> bool:
    """True if the workspace was moved or copied since: Feast keeps the whole path, and would read the old rows."""
    current = workspace.features.resolve() / "rows.parquet"
    return any(getattr(view.batch_source, "path", "") != str(current) for view in store.list_feature_views())


def open_feature_store(workspace: Workspace) -> FeatureStore:
    """Feast's own view of a workspace; NotReadyError if no features were registered."""
    registry = workspace.feast / REGISTRY
    if not registry.is_file():
        raise NotReadyError(f"no feature store in workspace '{workspace.root}': run `staycast features` first")
    return _connect(workspace, registry)


def _connect(workspace: Workspace, registry: Path) -> FeatureStore:
    """Feast with the configuration of ``feature_store.yaml`` and this registry; it says nothing below a warning."""
    logging.getLogger("feast").setLevel(logging.WARNING)
    content = read_yaml(REPO / "feature_store.yaml")
    content = _fill(content, str(workspace.root.resolve())) | {"registry": str(registry.resolve())}
    return FeatureStore(repo_path=str(REPO), config=RepoConfig(**content, repo_path=REPO))


def _fill(value: Any, root: str) -> Any:
    if isinstance(value, dict):
        return {key: _fill(inner, root) for key, inner in value.items()}
    return value.replace(WORKSPACE, root) if isinstance(value, str) else value


def _definitions(workspace: Workspace) -> dict[str, Any]:
    """What ``definitions.py`` registers of a workspace, by name."""
    module = ModuleType("staycast_definitions")
    SourceFileLoader(module.__name__, str(REPO / "definitions.py")).exec_module(module)
    return module.definitions(workspace.features.resolve())
