from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import ConfigError, DataError
from features.sources import files


def customers(folder: Path, ids: list[str], repairs: list[str]) -> list[str]:
    (folder / "c.csv").write_text("customer_id,signed_up_at\n" + "".join(f"{i},2024-01-01\n" for i in ids))
    entry = {"path": str(folder / "c.csv"), "encoding": "utf-8", "ids": {"customer_id": repairs}}
    return list(files.load({"customers": entry})["customers"]["customer_id"])


@pytest.mark.parametrize(
    ("repairs", "given", "repaired"),
    [
        (["leading_zeros"], ["00123", "0", "0A1"], ["123", "0", "0A1"]),
        (["decimal"], ["123.0", "1.5"], ["123", "1.5"]),
        (["exponent"], ["1.23E+5", "1e5x"], ["123000", "1e5x"]),
        (["case"], ["AB1", "cd2"], ["ab1", "cd2"]),
        (["width"], ["Ａ１", "b2"], ["A1", "b2"]),
        (["unicode"], ["e\u0301"], ["é"]),
        (["salesforce"], ["0016000000MRatdAAC", "0016000000MRatdAA"], ["0016000000MRatd", "0016000000MRatdAA"]),
        (["mark", "leading_zeros"], ["'007", '"=""008"""'], ["7", "8"]),
    ],
)
def test_an_id_is_repaired_as_its_mapping_names(
    tmp_path: Path, repairs: list[str], given: list[str], repaired: list[str]
) -> None:
    assert customers(tmp_path, given, repairs) == repaired


def test_customers_that_differ_by_design_are_never_merged(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="case would make one customer of several in 1 cases"):
        customers(tmp_path, ["0016000000MRatd", "0016000000MRAtd", "x"], ["case"])


def test_an_unknown_repair_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ids"):
        customers(tmp_path, ["1"], ["guess"])
