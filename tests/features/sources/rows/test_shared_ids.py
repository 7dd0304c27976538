"""Many addresses behind one id are said, in any table and language; a household is none."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

Read = Callable[..., pd.DataFrame]
WHO = [("0", f"gast{n % 40}") if n % 2 else (f"k{n % 6}", f"k{n % 6}") for n in range(80)]
ROWS = [f"o{n},{i},2024-01-{n % 28 + 1:02},5,{mail}@ort.de" for n, (i, mail) in enumerate(WHO)]


def said(read: Read, rows: list[str], **mapping: object) -> list[str]:
    frame = read("order_id,customer_id,ordered_at,amount,Correo\n" + "\n".join(rows) + "\n", **mapping)
    return [note for note in frame.attrs["notes"] if "different addresses" in note]


def test_an_id_with_many_addresses_is_said_with_what_to_do(read: Read) -> None:
    (note,) = said(read, ROWS)
    assert note.startswith(
        "o.csv: 1 ids of customers have 10 different addresses or more in 'Correo': '0' (20 in 40 rows)"
    )
    assert "read customer_id from 'Correo'" in note


@pytest.mark.parametrize(
    "mapping", [{"columns": {"customer_id": "Correo"}}, {"where": {"customer_id": {"not": ["0"]}}}]
)
def test_what_was_answered_is_said_no_more(read: Read, mapping: dict[str, object]) -> None:
    assert said(read, ROWS, **mapping) == []


def test_a_few_addresses_of_a_household_and_other_texts_are_nothing(read: Read) -> None:
    few = [f"o{n},{i},2024-01-{n % 28 + 1:02},5,{i}_{n % 3}@ort.de" for n, (i, _) in enumerate(WHO)]
    assert said(read, few) == []
    assert said(read, [row.replace("@", " at ") for row in ROWS]) == []
    assert said(read, [row[: row.rindex(",") + 1] for row in ROWS]) == []
