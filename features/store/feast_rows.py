"""The online store as Feast sees it (``feature_store.yaml``): its messages to and from `features.store.online_rows`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from feast import Entity, FeatureView, RepoConfig
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import FeastConfigBaseModel
from feast.types import String

from features.store.online_rows import OnlineRows, open_online_rows, table_name
from features.store.timestamps import from_micros, to_micros

FeastRow = tuple[datetime | None, dict[str, Value] | None]


class CustomerOnlineStoreConfig(FeastConfigBaseModel):
    """Where the file is; ``online.json`` beside it says that the rows are in Redis, see `configure_online_store`."""

    type: Literal["features.store.feast_rows.CustomerOnlineStore"] = "features.store.feast_rows.CustomerOnlineStore"
    path: str


class CustomerOnlineStore(OnlineStore):
    """Feast's online store over `OnlineRows`; for views of the one entity ``customer``."""

    def __init__(self) -> None:
        self._own = threading.local()

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[tuple[EntityKey, dict[str, Value], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows of one view, all or none."""
        names = [f.name for f in table.features]
        rows = [
            (_customer_id(key), to_micros(at), to_micros(created or at), *(_value_of(values.get(n)) for n in names))
            for key, values, at, created in data
        ]
        self._rows(config).write({table_name(config.project, table.name): (names, rows)})
        if progress:
            progress(len(rows))

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[FeastRow]:
        """Read rows of one view in the order asked; ``(None, None)`` where there is none."""
        kinds = {f.name: f.dtype for f in table.features}
        names = requested_features or list(kinds)
        ids = [_customer_id(key) for key in entity_keys]
        found = self._rows(config).read(table_name(config.project, table.name), names, ids)
        texts = [kinds[n] == String for n in names]
        return [_to_feast(found[i], names, texts) if i in found else (None, None) for i in ids]

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Make the tables of the views, add columns that are missing, drop the tables of views that are gone."""
        rows = self._rows(config)
        for view in tables_to_keep:
            rows.create_table(table_name(config.project, view.name), [f.name for f in view.features])
        for view in tables_to_delete:
            rows.drop_table(table_name(config.project, view.name))

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Drop the tables of all views."""
        for view in tables:
            self._rows(config).drop_table(table_name(config.project, view.name))

    def _rows(self, config: RepoConfig) -> OnlineRows:
        """The rows, opened once by each thread."""
        if not hasattr(self._own, "rows"):
            self._own.rows = open_online_rows(Path(config.online_store.path).parent)
        return self._own.rows


def _customer_id(key: EntityKey) -> str:
    return str(key.entity_values[0].string_val)


def _value_of(value: Value | None) -> Any:
    kind = value.WhichOneof("val") if value is not None else None
    return None if kind is None else getattr(value, kind)


def _to_feast(row: tuple[Any, ...], names: Sequence[str], texts: Sequence[bool]) -> FeastRow:
    values = {
        n: Value() if v is None else Value(string_val=v) if text else Value(double_val=v)
        for n, v, text in zip(names, row[1:], texts, strict=True)
    }
    return from_micros(row[0]), values
