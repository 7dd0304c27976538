from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from feast.importer import import_class
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Float64, String

from configs.yaml_file import read_yaml
from features.store.feast_rows import CustomerOnlineStore
from features.store.feature_store import REPO
from features.store.online_rows import SqliteRows

AT = datetime(2024, 3, 1, tzinfo=UTC)
VIEW: Any = SimpleNamespace(
    name="v", features=[SimpleNamespace(name="spend", dtype=Float64), SimpleNamespace(name="region", dtype=String)]
)


def key(customer: str) -> EntityKey:
    return EntityKey(join_keys=["customer_id"], entity_values=[Value(string_val=customer)])


@pytest.fixture
def config(tmp_path: Path) -> Any:
    return SimpleNamespace(project="p", online_store=SimpleNamespace(path=str(tmp_path / "online.db")))


def test_what_feast_writes_it_reads_again_and_what_is_not_there_is_nothing(config: Any, tmp_path: Path) -> None:
    store = CustomerOnlineStore()
    store.update(config, [], [VIEW], [], [], False)
    row = {"spend": Value(double_val=1.5), "region": Value()}
    store.online_write_batch(config, VIEW, [(key("ann"), row, AT, None)], None)
    found = store.online_read(config, VIEW, [key("bob"), key("ann")])
    assert found == [(None, None), (AT, {"spend": Value(double_val=1.5), "region": Value()})]
    rows = SqliteRows(tmp_path / "online.db")
    assert list(rows.ids("p_v")) == ["ann"]
    rows.close()


def test_the_configuration_of_feast_names_this_store() -> None:
    name = read_yaml(REPO / "feature_store.yaml")["online_store"]["type"]
    assert import_class(*name.rsplit(".", 1)) is CustomerOnlineStore
