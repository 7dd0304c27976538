"""A known file is the file that is meant; a simulation is its options."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from configs.errors import ConfigError, DataError
from features.sources.data_sets.options import known_file, load_simulation, simulation_fingerprint

OPTIONS = {"customers": 3, "months": 2, "seed": 1}


def test_a_known_file_is_given_if_its_checksum_is_that_of_the_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_bytes(b"ann")
    monkeypatch.setenv("STAYCAST_TRY", str(tmp_path))
    options = {"path": "${STAYCAST_TRY}/a.csv"}
    assert known_file(options) == known_file({**options, "sha256": hashlib.sha256(b"ann").hexdigest()})
    with pytest.raises(DataError, match="is not the file that is meant"):
        known_file({**options, "sha256": "0" * 64})
    with pytest.raises(DataError, match="no file at"):
        known_file({"path": "${STAYCAST_TRY}/b.csv"})


def test_a_simulation_gets_its_options_and_its_fingerprint_follows_them() -> None:
    class Simulated:
        def __init__(self, **options: int) -> None:
            self.tables = {"customers": pd.DataFrame([options])}

    assert load_simulation(Simulated, OPTIONS)["customers"].to_dict("records") == [OPTIONS]
    assert simulation_fingerprint("shop", OPTIONS) == simulation_fingerprint("shop", dict(OPTIONS))
    assert simulation_fingerprint("shop", OPTIONS) != simulation_fingerprint("shop", {**OPTIONS, "seed": 2})


@pytest.mark.parametrize(
    "options", [{}, {**OPTIONS, "customers": 0}, {**OPTIONS, "seeds": 1}, {"customers": 3, "months": 2}]
)
def test_a_simulation_with_wrong_options_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"source\.options"):
        simulation_fingerprint("shop", options)
