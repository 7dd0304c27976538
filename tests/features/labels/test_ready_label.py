"""Ready-made exports: numbers are numbers, texts are categories, and nothing sensitive is learned from."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from configs.errors import DataError, NotReadyError, StaycastError
from configs.settings import Columns, Settings
from configs.workspace import Workspace
from features import build, refresh
from features import ingest as module
from features.labels.ready_label import ReadyTable, left_by_label, prepare, read_ready_table
from features.quality import quality_verdict
from features.quality.anomalies import Profile, find_anomalies, profile_tables
from features.quality.check import check_tables
from features.quality.outlying_amounts import set_outliers_aside
from features.schema import describe
from features.store import feature_store
from features.store.online_rows import OnlineFeatures

NOW = datetime(2026, 5, 4, 13, tzinfo=UTC)
NAMES = ["a", "b", "c"]


@pytest.fixture
def ready(settings: Settings) -> Settings:
    churn = settings.churn.model_copy(update={"kind": "label"})
    columns = Columns(attributes=(), sensitive=("senior",))
    return settings.model_copy(update={"churn": churn, "columns": columns, "data_until": None})


@pytest.fixture
def export() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": ["a", "b", "c", "d"],
            "label": ["Yes", "no", "", "maybe"],
            "Monthly charges": ["29.85", " ", "70", "1"],
            "Plan": ["basic", "pro", None, "pro"],
            "senior": ["0", "1", "0", "1"],
        }
    )


def test_an_export_becomes_one_row_a_customer_at_one_moment(ready: Settings, export: pd.DataFrame) -> None:
    checked = check_tables(prepare({"profiles": export}, ready, NOW), ready.columns, NOW, "label")["profiles"]
    assert checked.quarantined["reason"].tolist() == ["label: 'maybe' is not yes or no, true or false, 1 or 0"]
    ready_table = read_ready_table(checked.used, ready)
    assert [(c.name, c.dtype) for c in ready_table.columns] == [("Monthly_charges", "float64"), ("Plan", "string")]
    assert ready_table.as_of == datetime(2026, 5, 4)
    np.testing.assert_array_equal(ready_table.rows["Monthly_charges"], [29.85, np.nan, 70])
    np.testing.assert_array_equal(ready_table.labels["churned"], [1, 0, np.nan])
    assert ready_table.labels["active"].all() and ready_table.labels["clv"].isna().all()


def test_the_moment_is_the_end_of_the_data_where_that_is_set(ready: Settings, export: pd.DataFrame) -> None:
    until = ready.model_copy(update={"data_until": datetime(2026, 1, 31, tzinfo=UTC)})
    checked = check_tables(prepare({"profiles": export}, until, NOW), until.columns, NOW, "label")["profiles"]
    assert read_ready_table(checked.used, until).as_of == datetime(2026, 1, 31)


def test_what_is_prepared_is_not_changed_in_place(ready: Settings, export: pd.DataFrame) -> None:
    before = export.copy()
    prepare({"profiles": export}, ready, NOW)
    pd.testing.assert_frame_equal(export, before)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"Plan": "clv"}, "used by Staycast itself"),
        ({"Plan": "Event_Timestamp"}, "'Event_Timestamp' is used by Staycast itself: give it another name"),
        ({"Plan": "part"}, "used by Staycast itself"),
        ({"Plan": "Monthly_charges"}, "more than once"),
        (
            {"Plan": "monthly CHARGES"},
            "'Monthly_charges', 'monthly_CHARGES' stands there more than once, capitals aside",
        ),
    ],
)
def test_a_name_that_cannot_be_told_apart_is_refused(
    ready: Settings, export: pd.DataFrame, columns: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        prepare({"profiles": export.rename(columns=columns)}, ready, NOW)


def test_a_declared_column_that_is_missing_is_named(ready: Settings, export: pd.DataFrame) -> None:
    raw = prepare({"profiles": export.drop(columns="senior")}, ready, NOW)
    with pytest.raises(DataError, match="declared column 'senior' is missing"):
        check_tables(raw, ready.columns, NOW, "label")


def test_profiles_stand_alone(ready: Settings, export: pd.DataFrame, shop: dict[str, pd.DataFrame]) -> None:
    raw = prepare({"profiles": export, **shop}, ready, NOW)
    with pytest.raises(DataError, match="alone"):
        check_tables(raw, ready.columns, NOW, "label")
    with pytest.raises(DataError, match="have no dates"):
        check_tables(raw, ready.columns, NOW, "inactivity")
    with pytest.raises(DataError, match="profiles is needed for churn by label"):
        check_tables(shop, ready.columns, NOW, "label")


def test_a_reason_says_the_customers_own_value() -> None:
    assert describe("MonthlyCharges", {"MonthlyCharges": 29.85}) == "Monthly charges: 29.85"
    assert describe("Monthly_charges", {"Monthly_charges": 1234.0}) == "Monthly charges: 1,234"
    assert describe("Plan", {"Plan": None}) == "Plan unknown"


@pytest.mark.slow
def test_a_refresh_recomputes_whose_columns_differ_and_nobody_else(
    ready: Settings, export: pd.DataFrame, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    source_tables = {"profiles": export.head(3)}
    source = type(
        "Source", (), {"load": lambda options: dict(source_tables), "source_fingerprint": lambda options: "x"}
    )
    monkeypatch.setattr(module, "loader", lambda name: source)
    lenient = ready.quality.model_copy(update={"accept_rules": ("table_missing",)})
    ready = ready.model_copy(update={"quality": lenient, "data_until": NOW - pd.Timedelta(hours=1)})
    module.ingest(ready, workspace, NOW)
    build.build(ready, workspace)
    feature_store.apply(workspace)
    assert feature_store.materialize(workspace) == refresh.start_from_build(ready, workspace, NOW) == 2  # a has left
    assert refresh.refresh(ready, workspace, NOW)["touched"] == 0

    source_tables["profiles"] = export.head(3).assign(Plan=["basic", "pro", "pro"])
    module.ingest(ready, workspace, NOW)
    result = refresh.refresh(ready, workspace, NOW)
    moments = {"as_of": "2026-05-04T12:00:00Z", "data_until": "2026-05-04T12:00:00Z", "with_newer_rows": 0}
    assert result == {**moments, "customers": 2, "touched": 1, "online": 1, "gone": 0}
    with pytest.raises(NotReadyError, match="run `staycast features` first"):
        quality_verdict.require_newest_features(workspace)
    assert OnlineFeatures(workspace).read(NAMES)["Plan"].tolist() == [None, "pro", "pro"]

    source_tables["profiles"] = export.iloc[[0, 2]]
    module.ingest(ready, workspace, NOW)
    assert refresh.refresh(ready, workspace, NOW)["gone"] == 1
    assert OnlineFeatures(workspace).read(NAMES)["as_of"].isna().tolist() == [True, True, False]

    source_tables["profiles"] = export.iloc[[0, 1, 2]].assign(label=["no", "no", "yes"])
    module.ingest(ready, workspace, NOW)
    build.build(ready, workspace)
    assert feature_store.materialize(workspace) == refresh.start_from_build(ready, workspace, NOW) == 2
    assert OnlineFeatures(workspace).read(NAMES)["as_of"].isna().tolist() == [False, False, True]
    assert left_by_label(workspace.tables, [*NAMES, "nobody"]) == {NAMES[2]}
    assert left_by_label(workspace.tables, list(NAMES[:2])) == set()
    with pytest.raises(StaycastError, match="leave --as-of out"):
        refresh.refresh(ready, workspace, NOW, as_of=NOW)


def test_a_column_is_left_out_by_its_name_as_it_stands_in_the_file_or_simplified(
    ready: Settings, export: pd.DataFrame
) -> None:
    def columns(*exclude: str) -> list[str]:
        chosen = ready.columns.model_copy(update={"exclude": exclude})
        raw = prepare({"profiles": export}, ready.model_copy(update={"columns": chosen}), NOW)
        return [c for c in raw["profiles"] if c not in ("customer_id", "label", "exported_at")]

    assert columns("Monthly charges") == columns("Monthly_charges") == ["Plan", "senior"]
    with pytest.raises(DataError, match=r"columns.exclude: there is no column 'Plam' \(did you mean 'Plan'"):
        columns("Plam")
    with pytest.raises(DataError, match="label cannot be left out"):
        columns("label")


def test_names_that_differ_by_capitals_alone_are_told_apart_by_what_is_left_out_or_declared(
    ready: Settings, export: pd.DataFrame
) -> None:
    both = export.rename(columns={"Plan": "Amount", "Monthly charges": "amount"})
    for chosen in ({"exclude": ("Amount",)}, {"attributes": ("amount",)}):
        settings = ready.model_copy(update={"columns": ready.columns.model_copy(update=chosen)})
        raw = prepare({"profiles": both}, settings, NOW)
        assert "Amount" not in raw["profiles"]
        np.testing.assert_array_equal(raw["profiles"]["amount"], [29.85, np.nan, 70, 1])


def test_odd_names_of_columns_are_kept_apart(ready: Settings, export: pd.DataFrame) -> None:
    odd = export.rename(columns={"Plan": "тариф", "Monthly charges": "%"}).assign(**{'{"a": 1}': 1})
    names = list(prepare({"profiles": odd}, ready, NOW)["profiles"])
    assert names == ["customer_id", "label", "column_3", "тариф", "senior", "a_1", "exported_at"]


def test_labels_are_flags_in_any_writing(ready: Settings, export: pd.DataFrame) -> None:
    for labels in (["1.0", "0.0", "", "1.0"], ["True.", "False.", None, "True."], [1.0, 0.0, None, 1.0]):
        raw = prepare({"profiles": export.assign(label=labels)}, ready, NOW)
        used = check_tables(raw, ready.columns, NOW, "label")["profiles"].used
        np.testing.assert_array_equal(used["label"], [1, 0, np.nan, 1])


def test_the_order_of_rows_of_a_table_without_dates_says_nothing(ready: Settings) -> None:
    """Sorted by what they spend, by plan and by label, as spreadsheets are."""
    n = 600
    rows = pd.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(n)],
            "label": ["yes"] * (n // 2) + ["no"] * (n // 2),
            "spend": np.geomspace(1, 1e6, n),
            "plan": [f"p{i // 60}" for i in range(n)],
            "senior": ["0"] * n,
        }
    )

    def profile(table: pd.DataFrame) -> Profile:
        raw = prepare({"profiles": table}, ready, NOW)
        return profile_tables(check_tables(raw, ready.columns, NOW, "label"), "UTC")

    shuffled = rows.sample(frac=1, random_state=1)
    assert find_anomalies(profile(rows)) == []
    assert find_anomalies(profile(rows), profile(shuffled)) == []


def test_customers_who_stand_in_the_table_twice_are_said_on_the_first_load(ready: Settings) -> None:
    rng, n = np.random.default_rng(1), 400
    numbers = {f"n{k}": rng.normal(size=n).round(4) for k in range(6)}
    rows = pd.DataFrame({"customer_id": [f"c{i}" for i in range(n)], "label": rng.integers(0, 2, n), **numbers})
    again = rows.head(60).assign(customer_id=[f"d{i}" for i in range(60)])

    def found(table: pd.DataFrame) -> list[tuple[str, str, str]]:
        raw = prepare({"profiles": table.assign(senior="0", label=table["label"].astype(str))}, ready, NOW)
        checked = check_tables(raw, ready.columns, NOW, "label")
        return [(f.rule, f.severity, f.got[:5]) for f in find_anomalies(profile_tables(checked, "UTC"))]

    assert found(rows) == []
    assert found(pd.concat([rows, again])) == [("twins", "warn", "26.1%")]


def with_value(settings: Settings, column: str = "Given") -> Settings:
    mapping = {"profiles": {"path": "x.csv", "columns": {"realised_value": column}}}
    return settings.model_copy(update={"source": settings.source.model_copy(update={"options": mapping})})


def read(export: pd.DataFrame, settings: Settings) -> ReadyTable:
    checked = check_tables(prepare({"profiles": export}, settings, NOW), settings.columns, NOW, "label")["profiles"]
    return read_ready_table(checked.used, settings)


def test_a_value_is_known_times_the_margin_or_not_at_all(ready: Settings, export: pd.DataFrame) -> None:
    valued = with_value(ready).model_copy(update={"clv": ready.clv.model_copy(update={"margin": 0.5})})
    assert valued.tasks == ("churn", "clv")
    given = export.assign(realised_value=["12.5", "-4", "", "7"], label=["Yes", "no", "", "no"])
    np.testing.assert_array_equal(read(given, valued).labels["clv"], [6.25, -2, np.nan, 3.5])


def test_no_value_changes_a_feature_and_no_value_is_one(ready: Settings, export: pd.DataFrame) -> None:
    plain = export.assign(label=["Yes", "no", "", "no"])
    without, rng = read(plain, ready), np.random.default_rng(0)
    for values in (["1", "2", "3", "4"], list(rng.permutation(["1", "2", "", "1e9"]))):
        table = read(plain.assign(realised_value=values), with_value(ready))
        assert [c.name for c in table.columns] == [c.name for c in without.columns]
        pd.testing.assert_frame_equal(table.rows, without.rows)
        pd.testing.assert_series_equal(table.labels["churned"], without.labels["churned"])


def test_where_no_value_is_forecast_it_is_no_feature_either(ready: Settings, export: pd.DataFrame) -> None:
    silent = with_value(ready).model_copy(update={"clv": ready.clv.model_copy(update={"forecast": False})})
    table = read(export.assign(realised_value="1"), silent)
    assert silent.tasks == ("churn",)
    assert table.labels["clv"].isna().all() and "realised_value" not in table.rows


@pytest.mark.parametrize("section", ["attributes", "sensitive"])
@pytest.mark.parametrize("name", ["label", "realised_value", "Realised_Value"])
def test_an_outcome_is_no_feature_by_declaration(
    ready: Settings, export: pd.DataFrame, section: str, name: str
) -> None:
    columns = Columns(**{"attributes": (), "sensitive": (), section: (name,)})
    declared = with_value(ready).model_copy(update={"columns": columns})
    with pytest.raises(DataError, match=f"{name} stand under columns.attributes or columns.sensitive"):
        prepare({"profiles": export.assign(realised_value="1")}, declared, NOW)


def test_a_value_is_named_by_the_mapping_or_asked_about(ready: Settings, export: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"say columns: .realised_value: realised_value. under"):
        prepare({"profiles": export.assign(realised_value="1")}, ready, NOW)
    with pytest.raises(DataError, match="names realised_value, and the table has no such column"):
        prepare({"profiles": export}, with_value(ready), NOW)
    for name in ("REALISED_VALUE", "Realised value"):
        with pytest.raises(DataError, match=rf"column '{name.replace(' ', '_')}' would be .* as clv.horizon_days"):
            prepare({"profiles": export.assign(**{name: "1"})}, ready, NOW)
    left_out = ready.model_copy(update={"columns": ready.columns.model_copy(update={"exclude": ("realised_value",)})})
    assert "realised_value" not in prepare({"profiles": export.assign(realised_value="1")}, left_out, NOW)["profiles"]
    both = with_value(left_out)
    with pytest.raises(DataError, match="realised_value cannot be left out"):
        prepare({"profiles": export.assign(realised_value="1")}, both, NOW)


def test_values_that_are_no_amounts_go_aside_as_those_of_orders_do(ready: Settings) -> None:
    values = ["10"] * 300 + ["abc", "inf", "1e20", "9e9", ""]
    n = len(values)
    export = pd.DataFrame({"customer_id": [f"c{i}" for i in range(n)], "label": "no", "x": range(n)})
    valued = with_value(ready).model_copy(update={"columns": Columns(attributes=(), sensitive=())})
    raw = prepare({"profiles": export.assign(realised_value=values)}, valued, NOW)
    checked = set_outliers_aside(check_tables(raw, valued.columns, NOW, "label"), 1000.0)["profiles"]
    assert [reason[:40] for reason in sorted(checked.quarantined["reason"])] == [
        "realised_value: '9000000000' is more tha",
        "realised_value: 'abc' is not a number",
        "realised_value: 'inf' is not a number",
        "realised_value: is larger than 1e+15, wh",
    ]
    assert checked.used["realised_value"].isna().sum() == 1


def test_twins_are_customers_alike_in_all_that_was_known_before(ready: Settings, export: pd.DataFrame) -> None:
    alike = pd.DataFrame({"customer_id": list("abcd"), "label": "no", "x": "1", "senior": "0"})
    shares = []
    for table, settings in ((alike, ready), (alike.assign(realised_value=list("1234")), with_value(ready))):
        checked = check_tables(prepare({"profiles": table}, settings, NOW), settings.columns, NOW, "label")
        shares.append(profile_tables(checked, "UTC")["tables"]["profiles"]["twins"])
    assert shares[0] == shares[1] and shares[0][0] > 0


def test_a_value_without_a_label_is_read_where_churn_is_not_forecast_and_else_asked_about(
    ready: Settings, export: pd.DataFrame
) -> None:
    table, valued = export.drop(columns="label").assign(realised_value=["5", "", "0", "7"]), with_value(ready)
    with pytest.raises(DataError, match=r"If nothing says who left, write churn\.forecast: false"):
        read(table, valued)
    alone = valued.model_copy(update={"churn": valued.churn.model_copy(update={"forecast": False})})
    of_value = read(table, alone)
    assert of_value.labels["churned"].isna().all() and len(of_value.kept) == 4
    np.testing.assert_array_equal(of_value.labels["clv"], [5, np.nan, 0, 7])
    assert set(of_value.rows) == {"customer_id", "as_of", "Monthly_charges", "Plan"}
    left = read(export.assign(realised_value="1"), alone)  # a label that is there still says who has left
    assert left.labels["churned"].tolist()[:2] == [1, 0] and len(left.kept) == len(left.rows) - 1
