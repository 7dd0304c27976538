from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from configs.errors import DataError
from features.sources.propose import business_name, date_formats, guess_table, propose_config, to_yaml

ORDERS = pd.DataFrame(
    {
        "Invoice No": ["A1", "A2", "A3"],
        "Client": ["7", "7", "8"],
        "Invoice Date": ["31.12.2023 10:00", "01.02.2024 11:30", "05.02.2024 09:00"],
        "Total": ["10,50", "3,00", "7,25"],
        "Remark": ["x", None, "y"],
    }
)
CUSTOMERS = pd.DataFrame(
    {
        "customer": ["7", "8"],
        "registered": ["2023-01-01", "2023-02-01"],
        "region": ["north", "south"],
        "Gender": ["f", "m"],
    }
)


def names(frame: pd.DataFrame) -> dict[str, str]:
    return {g.field.name: g.source_name for g in guess_table(Path("x.csv"), frame).guesses}


def test_an_order_export_is_known_by_names_and_contents() -> None:
    guess = guess_table(Path("x.csv"), ORDERS)
    assert (guess.table.name, guess.missing, guess.spare) == ("orders", (), ("Remark",))
    assert names(ORDERS) == {
        "order_id": "Invoice No", "customer_id": "Client", "ordered_at": "Invoice Date", "amount": "Total",
    }  # fmt: skip
    assert guess.formats == {"ordered_at": ("%d.%m.%Y %H:%M",)}


def test_a_customer_export_is_known_by_names_and_contents() -> None:
    assert guess_table(Path("x.csv"), CUSTOMERS).table.name == "customers"
    assert names(CUSTOMERS) == {"customer_id": "customer", "signed_up_at": "registered"}


def test_a_column_that_does_not_hold_what_its_name_says_is_not_taken() -> None:
    guess = guess_table(Path("x.csv"), ORDERS.assign(Total=["many", "few", "some"]))
    assert "amount" not in {g.field.name for g in guess.guesses}
    assert "amount" in guess.missing


def test_a_file_that_fits_no_table_is_refused_with_its_columns() -> None:
    with pytest.raises(DataError, match=r"is none of customers, orders.*its columns are a, b"):
        guess_table(Path("x.csv"), pd.DataFrame({"a": ["1"], "b": ["2"]}))


def test_what_is_written_is_yaml_that_says_what_was_guessed() -> None:
    samples = {"orders": ORDERS, "customers": CUSTOMERS}
    text = to_yaml("shop", [guess_table(Path(f"{n}.csv"), f) for n, f in samples.items()], samples)
    content = yaml.safe_load(text)
    assert content["source"]["options"]["orders"]["columns"]["order_id"] == "Invoice No"
    assert content["source"]["options"]["orders"]["times"] == {"ordered_at": {"format": "%d.%m.%Y %H:%M"}}
    assert content["columns"] == {"attributes": ["region"], "sensitive": ["Gender"]}
    assert "100% are numbers" in text


def test_day_and_month_that_could_change_places_are_said_to_be_ambiguous() -> None:
    assert date_formats(pd.Series(["01/02/2024", "03/04/2024"])) == ("%d/%m/%Y", "%m/%d/%Y")
    assert date_formats(pd.Series(["01/02/2024", "13/04/2024"])) == ("%d/%m/%Y",)
    frame = ORDERS.assign(**{"Invoice Date": "01/02/2024"})
    text = to_yaml("shop", [guess_table(Path("o.csv"), frame)], {"orders": frame})
    assert "AMBIGUOUS" in text


def test_the_business_is_named_after_its_folder(tmp_path: Path) -> None:
    (tmp_path / "My Shop 24").mkdir()
    assert business_name([tmp_path / "My Shop 24" / "orders.csv"]) == "my_shop_24"
    (tmp_path / "24").mkdir()
    assert business_name([tmp_path / "24" / "orders.csv"]) == "business"


def test_an_encoding_that_is_not_sure_is_proposed_and_marked(tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_bytes(
        "customer_id,signed_up_at\n王芳,2024-01-01\n李娜,2024-01-02\n".encode("gb18030")
    )
    (tmp_path / "orders.csv").write_text("order_id,customer_id,ordered_at,amount\n1,Jörg,2024-01-01,1\n", "cp1252")
    text, _ = propose_config([tmp_path / "customers.csv", tmp_path / "orders.csv"])
    assert [line.split("#")[0].strip() for line in text.splitlines() if "encoding:" in line] == ["encoding: gb18030"]
