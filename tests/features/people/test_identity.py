from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
import yaml

from configs.errors import DataError
from configs.settings import Columns, load
from configs.workspace import Workspace
from features.build import features_as_of
from features.ingest import ingest
from features.people.identity import load_alias_map, propose_aliases, resolve
from features.quality.check import ValidatedTable, check_tables
from features.schema import feature_columns
from tests.command_line import call

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def aliases(*rows: tuple[str, str, str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["customer_id", "alias", "seen_at"])
    return frame.assign(seen_at=pd.to_datetime(frame["seen_at"]).astype("datetime64[us]"))


@pytest.fixture
def checked(shop: dict[str, pd.DataFrame]) -> dict[str, ValidatedTable]:
    return check_tables(shop, Columns(attributes=(), sensitive=()), NOW)


@pytest.fixture
def told(opened: Callable, checked: dict[str, ValidatedTable]) -> Callable[..., pd.DataFrame]:
    def features(identities: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
        used = {name: one.used for name, one in resolve(checked, identities).items()}
        tables = opened(used)
        rows = features_as_of(tables, feature_columns(tables, ()), as_of).to_pandas()
        return rows.set_index("customer_id").sort_index()

    return features


def test_rows_of_an_alias_belong_to_the_person(told: Callable[..., pd.DataFrame]) -> None:
    rows = told(aliases(("ann", "bob", "2024-02-20")), datetime(2024, 3, 1))
    assert rows.index.tolist() == ["ann", "new"]
    assert rows.loc["ann", "orders_total"] == 5
    assert rows.loc["ann", "spend_total"] == 185


def test_before_a_link_was_seen_it_changes_nothing(
    told: Callable[..., pd.DataFrame], features: Callable[..., pd.DataFrame], shop: dict[str, pd.DataFrame]
) -> None:
    early = told(aliases(("ann", "bob", "2024-02-20")), datetime(2024, 2, 18))
    alone = features(shop, datetime(2024, 2, 18))
    pd.testing.assert_series_equal(early.loc["ann"], alone.loc["ann"], check_exact=True)


def test_an_alias_of_an_alias_is_followed_to_the_person(checked: dict[str, ValidatedTable]) -> None:
    found = resolve(checked, aliases(("bob", "new", "2024-02-01"), ("ann", "bob", "2024-03-01")))
    assert found["customers"].used["customer_id"].tolist() == ["ann"]
    assert set(found["orders"].used["customer_id"]) == {"ann"}


def test_every_row_is_still_used_or_in_quarantine(checked: dict[str, ValidatedTable]) -> None:
    found = resolve(checked, aliases(("ann", "bob", "2024-02-20")))
    for name, one in found.items():
        before = len(checked[name].used) + len(checked[name].quarantined)
        assert len(one.used) + len(one.quarantined) == before
    assert found["customers"].quarantined["reason"].tolist() == ["customer_id: an alias of 'ann'"]


def test_what_was_checked_is_not_changed(checked: dict[str, ValidatedTable]) -> None:
    before = checked["orders"].used.copy()
    resolve(checked, aliases(("ann", "bob", "2024-02-20")))
    pd.testing.assert_frame_equal(checked["orders"].used, before)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("ann", "bob", "2024-01-01"), ("new", "bob", "2024-01-02")], "alias 'bob' belongs to 2 customers"),
        ([("ann", "bob", "2024-01-01"), ("bob", "ann", "2024-01-02")], "goes round in a circle"),
        ([("ann", "ann", "2024-01-01")], "goes round in a circle"),
    ],
)
def test_an_impossible_link_is_refused(checked: dict[str, ValidatedTable], rows: list, said: str) -> None:
    with pytest.raises(DataError, match=said):
        resolve(checked, aliases(*rows))


def test_the_same_mail_or_telephone_is_proposed_and_nothing_else() -> None:
    people = pd.DataFrame(
        {
            "customer_id": ["1", "2", "3", "4", "5"],
            "signed_up_at": pd.to_datetime(["2024-01-02", "2024-01-01", "2024-01-03", "2024-01-04", "2024-01-05"]),
            "email": ["Ann@Shop.org", " ann+web@shop.org", "eve@shop.org", "no mail", None],
            "phone": ["+49 (0)30 / 123456", None, "0049030123456", "12", None],
        }
    )
    assert sorted(map(tuple, propose_aliases(people).to_numpy())) == [("1", "3", "phone"), ("2", "1", "email")]


def test_without_mail_or_telephone_nothing_is_proposed() -> None:
    assert propose_aliases(pd.DataFrame({"customer_id": ["1"], "signed_up_at": [pd.Timestamp("2024-01-01")]})).empty


@pytest.mark.slow
def test_a_file_of_identities_is_found_by_init_read_in_whole_and_need_not_be_new(tmp_path: Path) -> None:
    days = [f"2024-{month:02}-{day:02}" for month in range(1, 7) for day in (3, 13, 23)]
    customers, links = (tmp_path / f"{name}.csv" for name in ("customers", "links"))
    people = [f"p{n:02}" for n in range(30)]
    customers.write_text("\n".join(["customer_id,signed_up_at", *(f"{p},2023-12-01" for p in people)]))
    links.write_text("\n".join(["customer_id,alias,seen_at", *(f"{p},app-{p},2024-01-01" for p in people)]))
    rows = [f"o{p}{day},{'app-' * (n % 2)}{p},{day},9.5" for p in people for n, day in enumerate(days)]
    (tmp_path / "orders.csv").write_text("\n".join(["order_id,customer_id,ordered_at,amount", *rows]))
    config = tmp_path / "shop.yaml"
    assert call("init", tmp_path, "--out", config).returncode == 0
    assert yaml.safe_load(config.read_text())["source"]["options"]["identities"]["columns"]["alias"] == "alias"
    place = Workspace(tmp_path / "place")
    report = ingest(load(str(config)), place, chunk_rows=10)
    assert [(t["name"], t["rows_used"]) for t in report["tables"]][-1] == ("identities", 30)
    assert set(pd.read_parquet(place.tables / "orders.parquet")["customer_id"]) == set(people)
    assert load_alias_map(place.tables).of(["app-p03", "p04"]) == ["p03", "p04"]
