from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from serving.bulk.parts import Parts, Plan

NOW = datetime(2024, 3, 1, tzinfo=UTC)
IDS = st.lists(st.text(min_size=1), unique=True).map(sorted)


def begin(folder: Path, inputs: str = "a", now: datetime = NOW, ids: str = "abcde", rows: int = 2) -> Parts:
    return Parts.begin(folder, inputs, lambda: list(ids), rows, now)


def test_a_plan_cuts_the_customers_into_parts_of_one_size(tmp_path: Path) -> None:
    parts = begin(tmp_path / "p")
    assert parts.plan == Plan("a", "2024-03-01T00:00:00+00:00", ("", "c", "e"), 5)
    assert list(parts.slices("abcde")) == [(0, ["a", "b"]), (1, ["c", "d"]), (2, ["e"])]


def test_what_was_begun_with_the_same_inputs_goes_on_and_anything_else_begins_anew(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    first = begin(folder)
    first.stem(1).with_suffix(".parquet").touch()
    again = begin(folder, now=NOW + timedelta(hours=1), ids="abcdef")
    assert again.plan == first.plan and [again.is_done(n) for n in again.numbers] == [False, True, False]
    assert not begin(folder, inputs="b").is_done(1)
    first.stem(1).with_suffix(".parquet").touch()
    assert not begin(folder, inputs="b", now=NOW + timedelta(days=1)).is_done(1)


def test_a_damaged_plan_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{")
    assert begin(tmp_path).plan.customers == 5


@given(IDS, IDS, st.integers(1, 4))
def test_each_customer_falls_into_exactly_one_part_whoever_joined_meanwhile(
    first: list[str], then: list[str], rows: int
) -> None:
    parts = Parts(Path("nowhere"), Plan("", "", ("", *first[rows::rows]), len(first)))
    slices = list(parts.slices(then))
    assert [i for _, ids in slices for i in ids] == then
    assert [number for number, _ in slices] == list(parts.numbers)
