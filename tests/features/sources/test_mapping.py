"""Which mappings are refused, and what is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from configs.errors import ConfigError, DataError
from configs.yaml_file import read_yaml
from features.sources import files
from features.sources.rows.copies import COPIES
from features.tables import LEFT_OUT

HEADER = "order_id,customer_id,ordered_at,amount\n"
Read = Callable[..., pd.DataFrame]


@pytest.mark.parametrize(
    ("mapping", "error", "said"),
    [
        ({"colums": {}}, ConfigError, "source.options.orders.colums: unknown key (did you mean 'columns'?)"),
        ({"columns": {"amout": "x"}}, ConfigError, "there is no column 'amout' in orders (did you mean 'amount'?)"),
        ({"times": {"ordered_at": {"formt": "x"}}}, ConfigError, "unknown key (did you mean 'format'?)"),
        ({"times": {"ordered_at": {"zone": "Europe/Berlun"}}}, ConfigError, "(did you mean 'Europe/Berlin'?)"),
        ({"times": {"ordered_at": {"format": "%Q"}}}, ConfigError, "'%Q' is no time format"),
        ({"times": {"ordered_at": {"format": "%H:%M"}}}, ConfigError, "has no year"),
        ({"numbers": {"amount": {"decimal": "x"}}}, ConfigError, "numbers.amount.decimal"),
        ({"values": {"channel": {True: "a"}}}, ConfigError, "quote it"),
        ({"constants": {"amount": "1"}, "columns": {"amount": "x"}}, ConfigError, "amount: told twice"),
        ({"values": {"channel": {"a": "b"}}}, DataError, "the mapping tells how to read 'channel', which no file has"),
        ({"columns": {"amount": "?", "channel": "?"}}, DataError, "amount, channel: the mapping still has '?'"),
        ({"values": {"amount": {"1": "?"}}}, DataError, "amount: the mapping still has '?' for what '1' means"),
        ({"encoding": "utf-99"}, ConfigError, "no encoding 'utf-99'"),
        ({"join": [{"path": "none.csv", "on": "x", "columns": {"channel": "y"}}]}, DataError, "no file at 'none.csv'"),
        ({"join": [{"path": "none.csv", "on": "x"}]}, ConfigError, "join.0.columns"),
        ({"join": [{"pth": "x", "on": "x", "columns": {"channel": "y"}}]}, ConfigError, "(did you mean 'path'?)"),
    ],
)
def test_a_wrong_mapping_is_named(read: Read, mapping: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error) as raised:
        read(HEADER + "o1,ann,2024-01-01,1\n", **mapping)
    assert said in str(raised.value)


def test_the_key_of_a_join_may_stand_unquoted_in_yaml(tmp_path: Path, read: Read) -> None:
    (tmp_path / "s.csv").write_text("id,name\n1,North\n")
    (tmp_path / "j.yaml").write_text(f"[{{path: {tmp_path / 's.csv'}, on: {{shop: id}}, columns: {{channel: name}}}}]")
    join = read_yaml(tmp_path / "j.yaml")
    orders = read(HEADER.replace("\n", ",shop\n") + "o1,ann,2024-01-01,1,1\n", join=join)
    assert orders["channel"].tolist() == ["North"]


def test_words_of_the_data_may_stand_unquoted_in_yaml(tmp_path: Path, read: Read) -> None:
    (tmp_path / "m.yaml").write_text("channel: {on: web, no: shop, 007: app, 2024-01-01: fair}")
    rows = "".join(f"o{n},ann,2024-01-01,1,{word}\n" for n, word in enumerate(("on", "no", "007", "2024-01-01")))
    orders = read(HEADER.replace("\n", ",channel\n") + rows, values=read_yaml(tmp_path / "m.yaml"))
    assert orders["channel"].tolist() == ["web", "shop", "app", "fair"]


def test_a_table_without_ids_gets_the_numbers_of_its_rows_on_request(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("Exited,Age\n1,40\n1,40\n0,50\n")
    entry = {"path": str(tmp_path / "p.csv"), "columns": {"label": "Exited"}, "number_rows": True}
    profiles = files.load({"profiles": entry})["profiles"]
    assert profiles["customer_id"].tolist() == ["1", "3"]
    assert "customer_id is the number of the row" in profiles.attrs["notes"][-1]
    assert "1 rows are exact copies of others" in profiles.attrs["notes"][-2]
    assert profiles.attrs[LEFT_OUT] == {COPIES: 1}
    with pytest.raises(ConfigError, match="number_rows: is for profiles"):
        files.load({"profiles": {**entry, "columns": {"customer_id": "Age"}}})
    with pytest.raises(ConfigError, match="number_rows: is for profiles"):
        files.load({"orders": {"path": str(tmp_path / "p.csv"), "number_rows": True}})
    (tmp_path / "p.csv").write_text("Exited,customer_id\n1,40\n")
    with pytest.raises(DataError, match="there is a column customer_id"):
        files.load({"profiles": entry})
