"""A YAML file as its writer means it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError
from configs.settings import load
from configs.yaml_file import read_yaml


def read(tmp_path: Path, text: str) -> Any:
    (tmp_path / "x.yaml").write_text(text, "utf-8")
    return read_yaml(tmp_path / "x.yaml")


def test_words_of_other_standards_stay_words_as_key_and_as_value(tmp_path: Path) -> None:
    assert read(tmp_path, "on: On\nno: yes\ny: N\nNA: off\n") == {"on": "On", "no": "yes", "y": "N", "NA": "off"}


@pytest.mark.parametrize("text", ["010", "1_000", "2018-01-01", "2018-01-01 10:30", "12:30", "0x1F", "0o7", "+", "."])
def test_what_a_number_or_a_date_would_lose_stays_as_it_is_written(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, f"a: {text}") == {"a": text}


def test_numbers_truth_and_nothing_are_what_they_are(tmp_path: Path) -> None:
    text = "[0, -3, 0.5, .5, 1e-3, true, FALSE, null, ~, '7', {a: }]"
    assert read(tmp_path, text) == [0, -3, 0.5, 0.5, 0.001, True, False, None, None, "7", {"a": None}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "x.yaml, line 4: the key 'c' stands twice"),
        ("{1: a, 1: b}", "line 1: the key '1' stands twice"),
        ("a: 1\nb: [1,\n", "line 3: not valid YAML"),
        ("a: 1\n---\nb: 2\n", "line 2: not valid YAML: expected a single document"),
        ("a:\n\tb: 1\n", "line 2: not valid YAML"),
        ("a: !!python/object:os.system {}", "line 1: not valid YAML"),
        ("%YAML 1.1\n---\na: on\na: off\n", "line 4: the key 'a' stands twice"),
    ],
)
def test_what_is_not_meant_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text)
    assert said in str(error.value)


def test_text_in_another_encoding_is_no_yaml(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes("a: ü".encode("cp1252"))
    with pytest.raises(ConfigError, match=r"x\.yaml is not valid YAML: .*utf-8"):
        read_yaml(tmp_path / "x.yaml")


def test_a_configuration_is_read_so(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("clv: {forecast: no}\ntime_zone: UTC\ntime_zone: Europe/Berlin\n", "utf-8")
    with pytest.raises(ConfigError, match="line 3: the key 'time_zone' stands twice"):
        load(tmp_path / "own.yaml")
    (tmp_path / "own.yaml").write_text("clv: {forecast: no}\ncolumns: {attributes: [on, no]}\n", "utf-8")
    settings = load(tmp_path / "own.yaml")
    assert (settings.clv.forecast, settings.columns.attributes) == (False, ("on", "no"))
