"""Tables that join badly: the repair is proposed in both, with counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from features.sources.loaders import loader
from features.sources.propose import propose_config

DAYS = pd.date_range("2023-01-01", periods=120, freq="3D").strftime("%Y-%m-%d")


def proposed(folder: Path, customers: list[str], buyers: list[str]) -> tuple[dict[str, Any], str]:
    who = (buyers * 120)[:120]
    sold = {"Pedido": range(120), "Cliente": who, "Fecha": DAYS, "Importe": [f"{n},50" for n in range(120)]}
    pd.DataFrame(sold).to_csv(folder / "pedidos.csv", index=False, sep=";")
    people = {"Cliente": customers, "Fecha alta": "2022-12-01", "Provincia": (["Lugo", "León"] * 60)[: len(customers)]}
    pd.DataFrame(people).to_csv(folder / "clientes.csv", index=False, sep=";")
    text, _ = propose_config([folder / "clientes.csv", folder / "pedidos.csv"], "tienda")
    return yaml.safe_load(text)["source"]["options"], text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("repair", "customers", "buyers"),
    [
        ("leading_zeros", [f"{n:05}" for n in range(1, 41)], [f"{n}" for n in range(1, 41)]),
        ("decimal", [f"{n}" for n in range(100, 140)], [f"{n}.0" for n in range(100, 140)]),
        ("case", [f"AB{n:03}x" for n in range(40)], [f"ab{n:03}X" for n in range(40)]),
        ("width", [f"K{n:03}" for n in range(40)], [f"\uff2b{n:03}" for n in range(40)]),
        ("salesforce", [f"0016000000MRa{n:02}AAC" for n in range(40)], [f"0016000000MRa{n:02}" for n in range(40)]),
    ],
)
def test_the_repair_is_proposed_in_both_tables(
    tmp_path: Path, repair: str, customers: list[str], buyers: list[str]
) -> None:
    options, text = proposed(tmp_path, customers, buyers)
    assert [options[name]["ids"] for name in ("customers", "orders")] == [{"customer_id": [repair]}] * 2
    assert "40 of 40 ids that no customer has are those of customers then, as '" in text
    rows = loader("files").load(options)
    assert set(rows["orders"]["customer_id"].astype(str)) == set(rows["customers"]["customer_id"].astype(str))


def test_nothing_is_proposed_where_ids_join_or_nothing_helps_or_customers_would_be_merged(tmp_path: Path) -> None:
    own = [f"K{n:03}A" for n in range(40)]
    strangers, mixed = [f"{n}-X" for n in range(40)], [f"K{n:03}a" for n in range(40)]
    for customers, buyers in ((own, own), (own, strangers), ([*own, *map(str.lower, own)], mixed)):
        assert not any("ids" in table for table in proposed(tmp_path, customers, buyers)[0].values())


def test_a_table_that_joined_before_gets_the_repair_of_another_and_still_joins(tmp_path: Path) -> None:
    calls = {"Ticket": range(120), "Cliente": [f"{n}" for n in range(1, 41)] * 3, "Apertura": DAYS, "Canal": "chat"}
    pd.DataFrame(calls).to_csv(tmp_path / "tickets.csv", index=False, sep=";")
    ids = [f"{n:05}" for n in range(1, 41)]
    proposed(tmp_path, ids, ids)
    text, _ = propose_config([tmp_path / f"{name}.csv" for name in ("clientes", "pedidos", "tickets")], "tienda")
    options = yaml.safe_load(text)["source"]["options"]
    assert {name: table["ids"] for name, table in options.items()} == {
        key: {"customer_id": ["leading_zeros"]} for key in ("customers", "orders", "interactions")
    }
    rows = loader("files").load(options)
    assert all(set(table["customer_id"].astype(str)) == {f"{n}" for n in range(1, 41)} for table in rows.values())
