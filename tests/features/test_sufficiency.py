from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import ibis
import pandas as pd
import pytest

from configs.settings import Settings
from configs.workspace import Workspace
from features.build import customers_as_of
from features.engine import connect, read_tables
from features.ingest import ingest
from features.labels.by_kind import labels_at, what_is_known
from features.people.suppression_list import suppress
from features.quality.quality_verdict import accept
from features.sufficiency import _labels, check_requirements, check_source
from training.data.dataset import load, require_enough


def test_what_is_enough_here_is_enough_in_training(lived: Workspace, settings: Settings) -> None:
    told = check_requirements(read_tables(connect(), lived.tables), settings)
    assert all(row["met"] for row in told)
    require_enough(load(lived, "churn"), settings.minimum)
    left = next(row for row in told if row["what"] == "labels of customers who left")
    assert left["found"] == int((load(lived, "churn").frame["label"] == 1).sum())


def test_what_lacks_is_said_with_what_was_found(lived: Workspace, settings: Settings) -> None:
    strict = settings.model_copy(update={"minimum": settings.minimum.model_copy(update={"as_ofs": 99})})
    told = check_requirements(read_tables(connect(), lived.tables), strict)
    assert [(r["what"], r["needed"]) for r in told if not r["met"]] == [("labelled moments", 99)] * 2


def test_a_history_without_one_moment_has_nothing(lived: Workspace, settings: Settings) -> None:
    late = settings.model_copy(update={"as_of": settings.as_of.model_copy(update={"min_history_days": 3000})})
    assert all(row["found"] == 0 for row in check_requirements(read_tables(connect(), lived.tables), late))


def test_without_a_single_usable_order_there_is_nothing_to_learn_from(lived: Workspace, settings: Settings) -> None:
    tables = read_tables(connect(), lived.tables)
    empty = {**tables, "orders": tables["orders"].limit(0)}
    assert all(row["found"] == 0 and not row["met"] for row in check_requirements(empty, settings))


def test_the_check_names_gaps_sign_ups_after_orders_and_reads_times_in_the_zone(
    tmp_path: Path, settings: Settings
) -> None:
    days = [d for d in pd.date_range("2024-01-01", periods=200) if not "2024-04-03" <= str(d.date()) <= "2024-04-16"]
    rows = "".join(f"{d:%Y%m%d}-{n},c{n},{d:%Y-%m-%d} 23:{n:02d}:00,5\n" for d in days for n in range(10))
    (tmp_path / "o.csv").write_text("order_id,customer_id,ordered_at,amount\n" + rows)
    (tmp_path / "c.csv").write_text("customer_id,signed_up_at\n" + "".join(f"c{n},2024-02-01\n" for n in range(10)))
    options = {name: {"path": str(tmp_path / f"{name[0]}.csv")} for name in ("customers", "orders")}
    source = settings.source.model_copy(update={"loader": "files", "options": options})
    columns = settings.columns.model_copy(update={"attributes": (), "sensitive": (), "constant": ()})
    update = {"source": source, "columns": columns, "data_until": None, "time_zone": "America/New_York"}
    told = check_source(settings.model_copy(update=update))
    found = {f["rule"]: f["got"] for f in (*told["to_look_at"], *told["refused_for"])}
    assert found["gap"].startswith("14 days from 2024-04-04 to 2024-04-17")  # days of UTC
    assert found["late_sign_ups"].startswith("10 of 10 customers have orders")


CUSTOMERS = "customer_id,signed_up_at\n0017,2024-01-01\n0018,2024-01-01\n"
UNUSABLE = {
    "nobody known": "o1,R017,2024-02-01,5\no2,R018,2024-02-02,6\n",
    "no amount": "o1,0017,2024-02-01,viel\no2,0018,2024-02-02,O'Brien\n",
    "no time": "o1,0017,soon,5\no2,0018,heute; morgen,6\n",
    "no time that is sure": "o1,0017,1/2/2024,5\no2,0018,3/4/2024,6\n",
    "nothing filled": ",,,\n,,,\n",
}
EXAMPLES = {"nobody known": "'R017'", "no amount": "'viel'", "no time": "'soon'", "no time that is sure": "'1/2/2024'"}


@pytest.mark.parametrize("why", UNUSABLE)
def test_where_no_order_is_usable_it_is_said_what_would_stop_the_load_with_a_value(
    why: str, tmp_path: Path, staycast: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tmp_path / "customers.csv").write_text(CUSTOMERS)
    (tmp_path / "orders.csv").write_text("order_id,customer_id,ordered_at,amount\n" + UNUSABLE[why])
    options = {name: {"path": str(tmp_path / f"{name}.csv")} for name in ("customers", "orders")}
    config = tmp_path / "shop.yaml"
    config.write_text(json.dumps({"name": "shop", "source": {"loader": "files", "options": options}}))
    done = staycast("ingest", "--check", "--config", config, "--workspace", tmp_path / "place", "--json")
    assert done.returncode == 4, done.stderr
    stops = [stop for stop in json.loads(done.stdout)["refused_for"] if stop["table"] == "orders"]
    assert stops and all(stop["todo"] for stop in stops)
    assert any(stop["example"].startswith(EXAMPLES.get(why, "")) for stop in stops)
    assert not (tmp_path / "place").exists()
    told = " ".join(staycast("ingest", "--check", "--config", config, "--workspace", tmp_path / "place").stdout.split())
    assert "Ingest would refuse this: orders." in told and EXAMPLES.get(why, "") in told


DAYS = [f"{day:%Y-%m-%d}" for day in pd.date_range("2024-01-01", periods=120)]
GUESTS = "order_id,customer_id,ordered_at,amount,estado\n" + "".join(
    f"{n},{'invitado' if n % 12 == 0 else f'c{n % 60}'},{day},{n % 9}.5,{'pagado' if n % 5 else 'anulado'}\n"
    for n, day in enumerate(DAYS * 6)
)
PEOPLE = "customer_id,signed_up_at\n" + "".join(f"c{n},2023-12-01\n" for n in range(60)) + "invitado,2023-12-01\n"
LATE = PEOPLE.replace("2023-12-01", "2024-03-01")
LABELS = "customer_id,label,miete\n" + "".join(f"{n},{n % 2},{n},5\n".replace(",5", "") for n in range(80))
CONTRACTS = "subscription_id,customer_id,started_at,ended_at,status\n" + "".join(
    f"{n},c{n % 60},2023-{n % 12 + 1:02}-01,{'2024-02-01' if n % 4 == 0 else ''},{'vivo' if n % 3 else 'active'}\n"
    for n in range(120)
)
BUSINESSES: dict[str, tuple[str, dict[str, str]]] = {
    "guests": ("inactivity", {"customers": PEOPLE, "orders": GUESTS}),
    "migrated": ("inactivity", {"customers": LATE, "orders": GUESTS}),
    "copies": ("inactivity", {"customers": PEOPLE + "c1,2023-12-01\nc2,2022-01-01\n", "orders": GUESTS}),
    "lost zeros": (
        "inactivity",
        {"customers": PEOPLE.replace("\nc", "\n00"), "orders": GUESTS.replace(",c", ",").replace("ust", "cust")},
    ),
    "labels": ("label", {"profiles": LABELS + "1,1,1\n2,1,2\n"}),
    "contracts": ("contract", {"customers": PEOPLE, "subscriptions": CONTRACTS}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BUSINESSES)
def test_the_check_finds_what_the_ingest_finds(name: str, tmp_path: Path, settings: Settings) -> None:
    kind, tables = BUSINESSES[name]
    for table, text in tables.items():
        (tmp_path / f"{table}.csv").write_text(text)
    options = {table: {"path": str(tmp_path / f"{table}.csv")} for table in tables}
    columns = settings.columns.model_copy(update=dict.fromkeys(("attributes", "sensitive", "constant"), ()))
    source = settings.source.model_copy(update={"loader": "files", "options": options})
    churn = settings.churn.model_copy(update={"kind": kind})
    as_of = settings.as_of.model_copy(update={"every_months": 12})
    update = {"source": source, "columns": columns, "data_until": None, "churn": churn, "as_of": as_of}
    shop, place = settings.model_copy(update=update), Workspace(tmp_path / "place")

    def checked() -> tuple[list[dict[str, str]], list[str]]:
        told = check_source(shop, workspace=place)
        stops = [{n: v for n, v in f.items() if n != "example"} for f in told["refused_for"]]
        return sorted((*stops, *told["to_look_at"]), key=str), told["reading"]

    before = checked()
    report = ingest(shop, place)
    assert before == (sorted(report["verdict"]["findings"], key=str), report["reading"])  # type: ignore[index, call-overload]
    assert any(f["rule"] != "freshness" for f in before[0])
    erased = {"guests": "c7", "labels": "3"}.get(name)
    if erased:
        suppress(place, [erased])
        assert checked() == (sorted(ingest(shop, place)["verdict"]["findings"], key=str), before[1])  # type: ignore[index, call-overload]
    if not report["verdict"]["passed"]:  # type: ignore[index, call-overload]
        accept(place)
        assert check_source(shop, workspace=place)["refused_for"] == []


@pytest.mark.slow
def test_labels_of_a_time_long_past_are_those_of_every_date_alone(lived: Workspace, settings: Settings) -> None:
    shift = ibis.interval(days=9497)
    tables = {
        name: table.mutate(**{c: table[c] - shift for c, kind in table.schema().items() if kind.is_timestamp()})
        for name, table in read_tables(connect(), lived.tables).items()
    }
    found, known = _labels(tables, settings), what_is_known(tables, settings)
    assert known.until.year < 2000 and found["churned"].notna().any() and found["clv"].notna().any()
    for as_of, rows in found.groupby("as_of"):
        date = as_of.to_pydatetime()
        want = labels_at(tables, customers_as_of(tables["customers"], date), date, known, settings).to_pandas()
        pd.testing.assert_series_equal(rows["churned"].value_counts(), want["churned"].value_counts())
        assert rows["clv"].sum() == pytest.approx(want["clv"].sum())


def test_derived_customers_are_counted_as_such_and_copies_of_rows_are_said(tmp_path: Path, settings: Settings) -> None:
    rows = "".join(f"{n},c{n % 7},2024-0{1 + n % 5}-03 10:00:00,5\n" for n in range(40))
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("order_id,customer_id,ordered_at,amount\n" + rows)
    options = {"orders": {"path": [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]}}
    source = {"loader": "files", "options": options, "customers_from": "orders"}
    columns = settings.columns.model_copy(update={"attributes": (), "sensitive": (), "constant": ()})
    update = {"source": settings.source.model_copy(update=source), "columns": columns, "data_until": None}
    told = {table["name"]: table for table in check_source(settings.model_copy(update=update))["tables"]}
    assert (told["customers"]["rows_used"], told["customers"]["rows_read"]) == (7, 7)
    assert (told["orders"]["rows_used"], told["orders"]["rows_read"]) == (40, 80)
    assert sum(told["orders"]["left_out"].values()) == 40
