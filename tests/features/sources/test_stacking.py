"""Files of one table with different columns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from configs.errors import DataError
from configs.settings import Settings
from features.sources.loaders import loader, opened
from features.sources.one_currency import convert_currencies
from features.sources.staging import ChunkedTable

TICKETS = "ticket,kunde,opened,type\n1,ann,2024-01-01 10:00,ticket\n2,bob,2024-01-02 11:00,complaint\n"
CALLS = "call;customer_id;at;minutes\n1;ann;03.01.2024;4\n2;cat;04.01.2024;x\n3;cat;05.01.2024;7\n"


@pytest.fixture
def options(tmp_path: Path) -> dict[str, object]:
    (tmp_path / "tickets.csv").write_text(TICKETS)
    (tmp_path / "calls.csv").write_text(CALLS)
    tickets = {"interaction_id": "ticket", "customer_id": "kunde", "occurred_at": "opened", "kind": "type"}
    calls = {"interaction_id": "call", "occurred_at": "at", "value": "minutes"}
    return {
        "interactions": [
            {"path": str(tmp_path / "tickets.csv"), "columns": tickets},
            {
                "path": str(tmp_path / "calls.csv"), "columns": calls, "constants": {"kind": "call"},
                "times": {"occurred_at": {"format": "%d.%m.%Y"}}, "key_prefix": "call-",
            },
        ]
    }  # fmt: skip


def test_files_of_different_columns_become_one_table_and_their_keys_stay_apart(options: dict[str, object]) -> None:
    rows = loader("files").load(options)["interactions"]
    assert rows["interaction_id"].astype(str).tolist() == ["1", "2", "call-1", "call-2", "call-3"]
    assert rows["customer_id"].tolist() == ["ann", "bob", "ann", "cat", "cat"]
    assert rows["kind"].tolist() == ["ticket", "complaint", "call", "call", "call"]
    assert pd.to_datetime(rows["occurred_at"], utc=True).dt.day.tolist() == [1, 2, 3, 4, 5]
    assert [None if pd.isna(v) else str(v) for v in rows["value"]] == [None, None, "4.0", "x", "7.0"]
    assert len(rows.attrs["notes"]) >= 2


def test_in_chunks_they_are_the_same_rows(options: dict[str, object]) -> None:
    whole = loader("files").load(options)["interactions"]
    with opened(loader("files"), options, 2) as tables:
        table = tables["interactions"]
        assert isinstance(table, ChunkedTable) and table.rows == 5
        again = pd.concat(table.read(), ignore_index=True)
    same = [c.astype("string").fillna("").tolist() for c in (again["interaction_id"], again["customer_id"])]
    assert same == [whole[n].astype("string").fillna("").tolist() for n in ("interaction_id", "customer_id")]
    times = (pd.to_datetime(t["occurred_at"], utc=True).tolist() for t in (again, whole))
    assert next(times) == next(times)


def test_the_fingerprint_changes_with_any_of_the_files(options: dict[str, object], tmp_path: Path) -> None:
    before = loader("files").source_fingerprint(options)
    (tmp_path / "calls.csv").write_text(CALLS + "4;cat;06.01.2024;1\n")
    assert loader("files").source_fingerprint(options) != before


def test_what_each_file_says_of_its_rows_is_said_of_the_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("order_id,customer_id,ordered_at,amount,state,curr\n1,a,2024-01-01,5,ok,EUR\n")
    (tmp_path / "b.csv").write_text("nr,customer_id,ordered_at,amount,state,curr\n1,a,2024-01-01,5,void,USD\n")
    where = {"state": ["ok"]}
    entries = [
        {"path": str(tmp_path / "a.csv"), "where": where},
        {"path": str(tmp_path / "b.csv"), "columns": {"order_id": "nr"}, "where": where, "may_be_empty": True},
    ]
    orders = loader("files").load({"orders": entries})["orders"]
    assert orders["order_id"].astype(str).tolist() == ["1"]
    assert orders.attrs["left_out"] == {"where: state": 1}
    assert orders.attrs["unread_currencies"] == {"curr": {"EUR": 1, "USD": 1}}


def test_currencies_of_all_entries_are_asked_about_and_converted(tmp_path: Path, settings: Settings) -> None:
    for n, rows in enumerate((("EUR", "JPY"), ("USD", "EUR"))):
        lines = [f"{n}{k},c,2024-01-0{k + 1},100,{currency}" for k, currency in enumerate(rows)]
        (tmp_path / f"{n}.csv").write_text("\n".join(["order_id,customer_id,ordered_at,amount,cur", *lines]) + "\n")
    entries = {"orders": [{"path": str(tmp_path / f"{n}.csv"), "currency": "cur"} for n in range(2)]}
    money = settings.model_copy(update={"currency": "EUR", "rates": settings.rates.model_copy(update={"file": None})})
    with pytest.raises(DataError, match=r"EUR \(2 rows\), JPY \(1 rows\), USD \(1 rows\)"):
        convert_currencies(loader("files").load(entries), money)
    (tmp_path / "rates.csv").write_text("date,currency,rate\n2024-01-01,USD,0.9\n2024-01-01,JPY,0.006\n")
    money = money.model_copy(update={"rates": money.rates.model_copy(update={"file": str(tmp_path / "rates.csv")})})
    for chunk_rows in (1_000_000, 1):
        with opened(loader("files"), entries, chunk_rows) as tables:
            table = convert_currencies(tables, money)["orders"]
            frames = [table] if isinstance(table, pd.DataFrame) else list(table.read())
            amounts = [float(a) for frame in frames for a in frame["amount"]]
        assert amounts == pytest.approx([100.0, 0.6, 90.0, 100.0])


def test_a_prefix_before_a_key_that_no_file_has_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("customer_id,occurred_at,kind\na,2024-01-01,visit\n")
    entry = {"path": str(tmp_path / "a.csv"), "key_prefix": "v-"}
    with pytest.raises(DataError, match=r"interaction_id.*(key_prefix 'v-'|missing|no column)"):
        loader("files").load({"interactions": [entry]})
