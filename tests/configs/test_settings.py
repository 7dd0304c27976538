from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
import yaml

from configs.errors import ConfigError
from configs.settings import HERE, known_keys, load, merged_with_default, overlay

READY = sorted(p.stem for p in HERE.glob("*.yaml") if p.stem != "default")


def write(path: Path, **content: object) -> Path:
    path.write_text(yaml.safe_dump(content), "utf-8")
    return path


@pytest.mark.parametrize("name", READY)
def test_every_ready_configuration_loads(name: str) -> None:
    assert load(name).name


def test_a_business_says_only_what_differs(tmp_path: Path) -> None:
    settings = load(write(tmp_path / "own.yaml", churn={"horizon_days": 60}))
    assert settings.churn.horizon_days == 60
    assert settings.churn.activity_days == load("test").churn.activity_days


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"churn": {"horizon_day": 60}}, "unknown key 'churn.horizon_day' (did you mean 'churn.horizon_days'?)"),
        ({"chrun": {}}, "unknown key 'chrun' (did you mean 'churn'?)"),
        ({"churn": {"horizon_days": "soon"}}, "churn.horizon_days"),
        ({"churn": {"horizon_days": 0}}, "(got 0)"),
        ({"time_zone": "Europe/Berlni"}, "did you mean 'Europe/Berlin'?"),
        ({"currency": "dollars"}, "currency"),
        ({"data_until": "tomorrow"}, "data_until"),
        *[
            ({"data_until": number}, "a number is no time")
            for number in (1514764800, "1514764800", 1.5e9, 2018, 20181301)
        ],
        ({"data_until": "9999-12-31T23:59:59-05:00"}, "lies before the year 1 or after 9999 in UTC"),
        ({"as_of": {"first": "0001-01-01T00:00:00+05:00"}}, "lies before the year 1 or after 9999 in UTC"),
        ({"columns": {"attributes": ["age"], "sensitive": ["age"]}}, "stand under both attributes and sensitive"),
        ({"decisions": {"bands": {"watch": 0.5, "high": 0.2}}}, "bands must rise"),
        ({"decisions": {"tiers": {"diamond": 0.9}}}, "must leave customers for bronze"),
        ({"decisions": {"actions": [{"code": "call", "text": "Call", "tier": ["gold"]}]}}, "must match every customer"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_got(tmp_path: Path, content: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(write(tmp_path / "own.yaml", **content))
    assert said in str(error.value)


def test_a_missing_file_names_the_ready_ones() -> None:
    with pytest.raises(ConfigError, match="completejourney"):
        load("no_such_business")


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2018-01-01", datetime(2018, 1, 1)),
        ("'2018-01-01'", datetime(2018, 1, 1)),
        ("2018-01-01 10:30", datetime(2018, 1, 1, 10, 30)),
        ("2018-01-01 10:30:00.000001", datetime(2018, 1, 1, 10, 30, 0, 1)),
        ("2018-01-01T10:30:00Z", datetime(2018, 1, 1, 10, 30)),
        ("2018-01-01T00:30:00+02:00", datetime(2017, 12, 31, 22, 30)),
        ("2018-01-01T10:30:00-05:00", datetime(2018, 1, 1, 15, 30)),
        ("9999-12-31", datetime(9999, 12, 31)),
        ("20180101", datetime(2018, 1, 1)),
        ("'20180101'", datetime(2018, 1, 1)),
        ("null", None),
    ],
)
def test_the_end_of_the_data_is_in_utc_however_it_is_written(tmp_path: Path, text: str, utc: datetime | None) -> None:
    (tmp_path / "own.yaml").write_text(f"data_until: {text}", "utf-8")
    settings = load(tmp_path / "own.yaml")
    assert settings.data_until_utc == utc


@pytest.mark.parametrize("text", ["a: [1,", "- 1\n- 2\n", "", "data_until: 2018-13-01"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "own.yaml").write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=r"own\.yaml"):
        load(tmp_path / "own.yaml")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load("test").churn.horizon_days = 1  # type: ignore[misc]


def test_every_setting_is_told_in_the_default_file() -> None:
    lines = (HERE / "default.yaml").read_text("utf-8").splitlines()

    def is_documented(name: str) -> bool:
        return any("#" in line for line in lines if line.strip().startswith(f"{name}:"))

    assert [key for key in leaves() if not any(is_documented(name) for name in key.split(".")[-2:])] == []


def leaves() -> list[str]:
    """The settings that are no sections."""
    keys = known_keys()
    return [key for key in keys if not any(other.startswith(f"{key}.") for other in keys)]


def test_overlay_changes_neither_side() -> None:
    base, over = {"a": {"b": 1}}, {"a": {"c": 2}}
    assert overlay(base, over) == {"a": {"b": 1, "c": 2}}
    assert (base, over) == ({"a": {"b": 1}}, {"a": {"c": 2}})


def test_a_value_of_other_days_than_the_label_has_its_days_written_down() -> None:
    mapping = {"profiles": {"path": "x.csv", "columns": {"realised_value": "Given"}}}
    own = {"source": {"loader": "files", "options": mapping}, "churn": {"kind": "label", "horizon_days": 30}}
    with pytest.raises(ConfigError, match=r"default is 90 days, and the label looks at 30; write clv\.horizon_days"):
        merged_with_default(own, "donors")
    for days in (30, 90):
        assert merged_with_default({**own, "clv": {"horizon_days": days}}, "donors").clv.horizon_days == days
    assert merged_with_default({**own, "churn": {"kind": "label", "horizon_days": 90}}, "donors").tasks[-1] == "clv"
    assert merged_with_default({**own, "clv": {"forecast": False}}, "donors").tasks == ("churn",)
    merged_with_default({"churn": {"kind": "inactivity", "horizon_days": 30}}, "shop")


def test_value_is_forecast_alone_of_a_ready_table_that_names_it_and_of_nothing_else() -> None:
    mapping = {"profiles": {"path": "x.csv", "columns": {"realised_value": "Given"}}}
    own = {"source": {"loader": "files", "options": mapping}, "churn": {"kind": "label", "forecast": False}}
    own |= {"clv": {"horizon_days": 90}}
    assert merged_with_default(own, "donors").tasks == ("clv",)
    others = [
        {"churn": {"forecast": False}},
        {**own, "source": {"loader": "files", "options": {"profiles": {"path": "x.csv"}}}},
        {**own, "clv": {"forecast": False}},
    ]
    for other in others:
        with pytest.raises(ConfigError, match="is for a ready table with a value and no label"):
            merged_with_default(other, "donors")
    planned = {"decisions": {"campaign": {"contact_cost": 1.0, "offer_cost": 5.0, "success_rate": 0.3}}}
    with pytest.raises(ConfigError, match=r"decisions\.campaign needs the risk of leaving"):
        merged_with_default({**own, **planned}, "donors")
