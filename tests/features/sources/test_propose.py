"""From a user's files, named and written as they come, to a configuration that reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from configs.errors import DataError
from features.sources.loaders import loader
from features.sources.propose import business_name, propose_config

DAYS = pd.date_range("2023-01-01", periods=60, freq="7D")
WHO = [f"{n % 9 + 1}" for n in range(60)]


def write(folder: Path, name: str, frame: pd.DataFrame, **how: Any) -> Path:
    frame.to_csv(folder / name, index=False, **how)
    return folder / name


def proposed(*paths: Path) -> dict[str, Any]:
    """The proposal as it is read back; every file that it names can be read by it."""
    text, _ = propose_config(list(paths), "shop")
    content: dict[str, Any] = yaml.safe_load(text)
    loader("files").load(content["source"]["options"])
    return content


def orders(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


@pytest.fixture
def german(tmp_path: Path) -> list[Path]:
    amounts = [f"{n * 37.5 + 1000:,.2f} EUR".translate(str.maketrans(",.", ".,")) for n in range(60)]
    sold = {"Bestellnummer": range(5000, 5060), "Kunde": WHO, "Bestelldatum": DAYS.strftime("%d.%m.%Y %H:%M")}
    people = {
        "Kundennummer": range(1, 10), "Anmeldung": ["01.03.2022"] * 9, "Geschlecht": list("mwmwmwmwm"),
        "Geburtsdatum": ["05.06.1970"] * 9, "Größe": ["L", "S", "L"] * 3, "package": ["a", "b", "a"] * 3,
        "language": ["de", "fr", "de"] * 3, "usage_tier": ["x", "y", "y"] * 3,
    }  # fmt: skip
    return [
        write(tmp_path, "Bestellungen.csv", orders(**sold, Rechnungsbetrag=amounts), sep=";", encoding="cp1252"),
        write(tmp_path, "Kunden.csv", pd.DataFrame(people), sep=";", encoding="utf-8-sig"),
    ]


def test_a_german_shop_is_read_with_its_currency_formats_and_sensitive_columns(german: list[Path]) -> None:
    content = proposed(*german)
    options = content["source"]["options"]
    assert options["orders"]["columns"] == {
        "order_id": "Bestellnummer", "customer_id": "Kunde", "ordered_at": "Bestelldatum", "amount": "Rechnungsbetrag",
    }  # fmt: skip
    assert options["orders"]["times"] == {"ordered_at": {"format": "%d.%m.%Y %H:%M"}}
    assert options["customers"]["columns"] == {"customer_id": "Kundennummer", "signed_up_at": "Anmeldung"}
    assert (content["currency"], content["churn"]["kind"]) == ("EUR", "inactivity")
    assert content["columns"]["sensitive"] == ["Geschlecht", "Geburtsdatum"]
    assert content["columns"]["attributes"] == ["Größe", "package", "language", "usage_tier"]


def test_a_bare_order_log_with_columns_that_say_little_is_read_by_its_contents(tmp_path: Path) -> None:
    frame = pd.DataFrame({"Id": range(60), "uid": WHO, "d": DAYS.strftime("%Y-%m-%d"), "x": np.arange(60) + 0.25})
    content = proposed(write(tmp_path, "log.csv", frame))
    assert content["source"]["customers_from"] == "orders"
    assert content["source"]["options"]["orders"]["columns"] == {
        "order_id": "Id", "customer_id": "uid", "ordered_at": "d", "amount": "x",
    }  # fmt: skip
    text, _ = propose_config([tmp_path / "log.csv"])
    assert text.count("DOUBT: look twice") == 2


def test_the_usual_gap_gives_the_horizons_and_is_told(tmp_path: Path) -> None:
    frame = pd.DataFrame({"order_id": range(60), "customer_id": WHO, "ordered_at": DAYS, "amount": 1.5})
    text, _ = propose_config([write(tmp_path, "orders.csv", frame)])
    churn = yaml.safe_load(text)["churn"]
    assert churn == {"kind": "inactivity", "horizon_days": 90, "activity_days": 270, "horizons_days": [90, 180, 270]}
    assert "the usual gap between two orders is 63 days (median of 9 customers)" in text
    assert "the files hold 413 days only" in text


def test_a_spanish_gym_has_contracts_and_its_one_file_is_also_the_list_of_customers(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "id_socio": range(40), "fecha_alta": ["03/02/2023", "25/02/2023"] * 20,
            "fecha_baja": ["", "14/06/2023"] * 20, "cuota_mensual": ["29,90", "39,95"] * 20,
            "Sexo": ["H", "M", "M", "H"] * 10, "Edad": np.arange(40) + 18, "sede": ["Norte", "Sur"] * 20,
        }
    )  # fmt: skip
    content = proposed(write(tmp_path, "socios.csv", frame, sep=";"))
    assert content["churn"] == {"kind": "contract", "horizon_days": 31, "horizons_days": [31, 62, 93]}
    assert content["source"]["options"]["subscriptions"]["columns"] == {
        "subscription_id": "id_socio", "customer_id": "id_socio", "started_at": "fecha_alta",
        "ended_at": "fecha_baja", "price_per_month": "cuota_mensual",
    }  # fmt: skip
    assert content["source"]["options"]["customers"]["columns"] == {
        "customer_id": "id_socio", "signed_up_at": "fecha_alta",
    }  # fmt: skip
    assert content["columns"] == {"attributes": ["sede"], "constant": [], "sensitive": ["Sexo", "Edad"]}


@pytest.mark.parametrize(
    ("names", "values", "meant"),
    [
        (("客户编号", "是否流失", "性别"), ("是", "否"), {}),
        (("CLIENTNUM", "Attrition_Flag", "Gender"), ("Attrited Customer", "Existing Customer"), None),
        (("CustomerId", "Exited", "Gender"), ("1", "0"), {}),
        (("Phone", "Churn?", "sexe"), ("True.", "False."), {}),
        (("id_client", "résilié", "Sexe"), ("oui", "non"), {}),
        (("customer", "churned", "gender"), ("alpha", "beta"), "asked"),
    ],
)
def test_a_ready_label_is_known_by_its_name_and_which_value_means_left(
    tmp_path: Path, names: tuple[str, ...], values: tuple[str, str], meant: object
) -> None:
    ids, label, sex = names
    rows = {ids: [f"10086{n:03d}" for n in range(60)], label: list(values) * 30, sex: ["男", "女"] * 30}
    path = write(tmp_path, "t.csv", pd.DataFrame({**rows, "x": np.arange(60) % 7, "fee": "1.012,50 €"}))
    text, business = propose_config([path])
    options = yaml.safe_load(text)["source"]["options"]["profiles"]
    assert business.kind == "label" and options["columns"] == {"customer_id": ids, "label": label}
    told = options.get("values", {}).get("label", {})
    if meant == "asked":
        assert set(told.values()) == {"?"} and "which value means that the customer left?" in text
    else:
        assert told == (dict(zip(values, ("yes", "no"), strict=True)) if meant is None else meant)
    assert yaml.safe_load(text)["columns"]["sensitive"] == [sex] and yaml.safe_load(text)["currency"] == "EUR"


def test_a_file_that_is_none_of_the_tables_is_said_and_stops_nothing(tmp_path: Path, german: list[Path]) -> None:
    odd = write(tmp_path, "weather.csv", pd.DataFrame({"place": ["a", "b"], "rain": ["1", "2"]}))
    text, business = propose_config([odd, *german])
    assert set(business.tables) == {"customers", "orders"}
    assert business.to_dict()["not_used"] == [
        {"path": str(odd), "why": "none of the tables: its columns are place, rain"}
    ]
    assert "not used: " + str(odd) in text


def test_no_known_file_at_all_is_refused_with_the_columns(tmp_path: Path) -> None:
    odd = write(tmp_path, "weather.csv", pd.DataFrame({"place": ["a", "b"], "rain": ["1", "2"]}))
    with pytest.raises(DataError, match=r"no file looks like.*has place, rain.*docs/own-data.md"):
        propose_config([odd])


def test_months_of_one_export_are_listed_and_logs_of_different_columns_keep_their_own_mappings(tmp_path: Path) -> None:
    frame = pd.DataFrame({"order_id": range(60), "customer_id": WHO, "ordered_at": DAYS, "amount": 1.5})
    paths = [write(tmp_path, f"orders_{n}.csv", frame[n * 20 : n * 20 + 20]) for n in range(3)]
    tickets = pd.DataFrame(
        {"ticket": range(40), "client": WHO[:40], "opened": DAYS[:40], "type": ["Beschwerde", "x"] * 20}
    )
    visits = pd.DataFrame({"visit_id": range(40), "Kunde": WHO[:40], "Datum": DAYS[:40], "Art": ["Besuch"] * 40})
    logs = [write(tmp_path, "tickets.csv", tickets), write(tmp_path, "visits.csv", visits, sep=";")]
    options = proposed(*paths, *logs)["source"]["options"]
    assert options["orders"]["path"] == [str(path) for path in paths]
    assert [entry["path"] for entry in options["interactions"]] == [str(path) for path in logs]
    assert [entry["key_prefix"] for entry in options["interactions"]] == ["tickets-", "visits-"]
    assert options["interactions"][0]["values"] == {"kind": {"Beschwerde": "complaint"}}
    rows = loader("files").load(options)
    assert len(rows["orders"]) == 60 and rows["interactions"]["interaction_id"].is_unique


def test_customers_without_a_date_of_sign_up_are_left_out_and_derived(tmp_path: Path) -> None:
    frame = pd.DataFrame({"order_id": range(60), "customer_id": WHO, "ordered_at": DAYS, "amount": 1.5})
    people = pd.DataFrame({"customer_id": range(1, 10), "region": list("aabbaabba")})
    paths = [write(tmp_path, "orders.csv", frame), write(tmp_path, "customers.csv", people)]
    content = proposed(*paths)
    assert content["source"]["customers_from"] == "orders" and set(content["source"]["options"]) == {"orders"}


def test_what_a_customer_is_today_is_no_attribute(tmp_path: Path) -> None:
    frame = pd.DataFrame({"order_id": range(60), "customer_id": WHO, "ordered_at": DAYS, "amount": 1.5})
    people = pd.DataFrame(
        {"customer_id": range(1, 10), "signup": "2022-01-01", "status": list("aabbaabba"), "churned": [0, 1, 1] * 3}
    )
    paths = [write(tmp_path, "orders.csv", frame), write(tmp_path, "customers.csv", people)]
    assert proposed(*paths)["columns"]["attributes"] == []


def test_a_column_called_as_none_of_a_list_of_words_is_sensitive_by_what_it_holds(tmp_path: Path) -> None:
    people = pd.DataFrame(
        {"customer_id": range(1, 10), "signup": "2022-01-01", "f1": list("mfmfmfmfm"), "f2": ["1970-02-01"] * 9}
    )
    frame = pd.DataFrame({"order_id": range(60), "customer_id": WHO, "ordered_at": DAYS, "amount": 1.5})
    paths = [write(tmp_path, "orders.csv", frame), write(tmp_path, "customers.csv", people)]
    assert proposed(*paths)["columns"]["sensitive"] == ["f1", "f2"]


def test_names_that_would_break_the_yaml_are_quoted(tmp_path: Path) -> None:
    frame = pd.DataFrame({"No": range(60), "customer: #1": WHO, 'date\t"x"': DAYS, "amount %": 1.5, "# new\nline": "z"})
    columns = proposed(write(tmp_path, "orders.csv", frame))["source"]["options"]["orders"]["columns"]
    assert set(columns.values()) == {"No", "customer: #1", 'date\t"x"', "amount %"}


def test_day_and_month_that_could_change_places_are_said_to_be_ambiguous(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"order_id": range(60), "customer_id": WHO, "ordered_at": ["01/02/2024", "03/04/2024"] * 30, "amount": 1.5}
    )
    path = write(tmp_path, "orders.csv", frame)
    assert "AMBIGUOUS: could be %m/%d/%Y" in propose_config([path])[0]
    write(tmp_path, "orders.csv", frame.assign(ordered_at=["01/02/2024", "13/04/2024"] * 30))
    assert "AMBIGUOUS" not in propose_config([path])[0]


def test_one_odd_value_does_not_change_what_a_column_is(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"order_id": range(60), "customer_id": WHO, "ordered_at": DAYS.astype(str), "amount": ["1.5"] * 60}
    )
    frame.loc[3, "amount"], frame.loc[7, "ordered_at"] = "free", "9999-12-31"
    columns = proposed(write(tmp_path, "orders.csv", frame))["source"]["options"]["orders"]["columns"]
    assert set(columns) == {"order_id", "customer_id", "ordered_at", "amount"}


def test_an_encoding_that_is_not_sure_is_proposed_and_marked(tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_bytes(
        "customer_id,signed_up_at\n王芳,2024-01-01\n李娜,2024-01-02\n".encode("gb18030")
    )
    (tmp_path / "orders.csv").write_text("order_id,customer_id,ordered_at,amount\n1,Jörg,2024-01-01,1\n", "cp1252")
    text, _ = propose_config([tmp_path / "customers.csv", tmp_path / "orders.csv"])
    assert [line.split("#")[0].strip() for line in text.splitlines() if "encoding:" in line] == ["encoding: gb18030"]


def test_the_business_is_named_after_its_folder(tmp_path: Path) -> None:
    (tmp_path / "My Shop 24").mkdir()
    assert business_name([tmp_path / "My Shop 24" / "orders.csv"]) == "my_shop_24"
    (tmp_path / "24").mkdir()
    assert business_name([tmp_path / "24" / "orders.csv"]) == "business"


def test_columns_that_name_rows_or_tell_the_label_are_no_features_and_nothing_else_is_said_to_be_unread(
    tmp_path: Path,
) -> None:
    left = ["yes", "no"] * 30
    frame = pd.DataFrame(
        {"customer_id": range(60), "churn": left, "why_left": ["price" if v == "yes" else "" for v in left],
         "name": [f"n{n}" for n in range(60)], "last_call": "2024-01-01", "plan": ["a", "b", "c"] * 20, "usage": 0.5}
    )  # fmt: skip
    path = write(tmp_path, "t.csv", frame)
    assert proposed(path)["columns"] == {"exclude": ["why_left", "name", "last_call"], "sensitive": []}
    assert "not read" not in propose_config([path])[0]


def test_columns_of_what_came_are_no_features_and_the_proposal_says_why(tmp_path: Path) -> None:
    numbers = [round(n * 1.7 + 3, 2) for n in range(60)]
    frame = pd.DataFrame(
        {"Spendernr": range(60), "Ausgetreten": ["ja", "nein"] * 30, "future_rank": numbers,
         "Betrag nächste 60 Tage": numbers, "Umsatz in 90 Tagen": numbers, "Umsatz 30 Tage": numbers,
         "Umsatz letzte 30 Tage": numbers, "Branche": ["Bau", "IT", "Bau"] * 20}
    )  # fmt: skip
    path = write(tmp_path, "t.csv", frame)
    settings = proposed(path)
    assert settings["source"]["options"]["profiles"]["columns"]["realised_value"] == "Betrag nächste 60 Tage"
    assert settings["clv"] == {"horizon_days": 60}
    assert settings["columns"]["exclude"] == ["future_rank", "Umsatz in 90 Tagen"]
    text, business = propose_config([path])
    told = {entry["column"]: entry["why"] for entry in business.to_dict()["outcomes"]}
    assert list(told) == ["future_rank", "Umsatz in 90 Tagen", "Umsatz 30 Tage"]
    assert all(f"  # {column}: {why}" in text.splitlines() for column, why in told.items())


def test_attributes_of_a_shop_that_speak_of_what_came_are_left_out(tmp_path: Path, german: list[Path]) -> None:
    customers = pd.DataFrame(
        {
            "customer_id": range(60),
            "signed_up_at": "2023-01-01",
            "region": ["n", "s"] * 30,
            "churn_risk": ["a", "b"] * 30,
        }
    )
    orders = pd.DataFrame({"order_id": range(60), "customer_id": WHO, "ordered_at": DAYS, "amount": 1.5})
    paths = [write(tmp_path, "customers.csv", customers), write(tmp_path, "orders.csv", orders)]
    text, _ = propose_config(paths)
    assert "attributes: [region]" in text and "# churn_risk: left out, as its name ('churn')" in text


def test_a_file_that_cannot_be_read_is_said_and_one_that_is_not_there_is_refused(
    tmp_path: Path, german: list[Path]
) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text("a,b\n")
    _, business = propose_config([*german, empty])
    assert "holds a header and no row" in business.aside[empty] and set(business.tables) == {"customers", "orders"}
    with pytest.raises(DataError, match="no file at"):
        propose_config([*german, tmp_path / "none.csv"])


def test_orders_without_amounts_are_counted(tmp_path: Path) -> None:
    frame = pd.DataFrame({"order_id": range(60), "customer_id": WHO, "ordered_at": DAYS, "note": "x"})
    assert proposed(write(tmp_path, "orders.csv", frame))["currency"] == "XXX"


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_gap_that_is_seen_in_the_first_rows_alone_says_so(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.DataFrame({"order_id": range(60), "customer_id": WHO, "ordered_at": DAYS, "amount": 1.5})
    path = write(tmp_path, "orders.csv", frame)
    if ending == "parquet":
        path = tmp_path / "orders.parquet"
        frame.to_parquet(path)
    assert "CHECK" not in propose_config([path])[0]
    monkeypatch.setattr("features.sources.propose.SAMPLE", 30)
    assert "# CHECK: seen in the first rows of the files alone, which hold 203 days" in propose_config([path])[0]


def test_ends_that_every_contract_has_are_agreed_and_not_leavings(tmp_path: Path) -> None:
    starts = pd.date_range("2023-01-01", periods=60, freq="7D")
    frame = pd.DataFrame(
        {
            "Vertragsnummer": range(60),
            "Kunde": WHO,
            "Vertragsbeginn": starts,
            "Vertragsende": starts + pd.Timedelta(days=365),
        }
    )
    path = write(tmp_path, "vertraege.csv", frame)
    columns = proposed(path)["source"]["options"]["subscriptions"]["columns"]
    assert columns["renews_at"] == "Vertragsende" and "ended_at" not in columns
    write(
        tmp_path, "vertraege.csv", frame.assign(Vertragsende=frame["Vertragsende"].where(frame["Vertragsnummer"] < 9))
    )
    assert proposed(path)["source"]["options"]["subscriptions"]["columns"]["ended_at"] == "Vertragsende"


def test_of_a_workbook_the_sheet_that_holds_most_is_read_and_doubted_whatever_stands_first(tmp_path: Path) -> None:
    contracts = orders(contrato=[f"k{n}" for n in range(60)], cliente=WHO, fecha_de_alta=DAYS.strftime("%Y-%m-%d"))
    with pd.ExcelWriter(tmp_path / "contratos.xlsx") as book:
        orders(Resumen=["Contratos"], Total=[60]).to_excel(book, sheet_name="Resumen", index=False)
        contracts.assign(cuota_mensual=29.9).to_excel(book, sheet_name="Contratos 2024", index=False)
    text, _ = propose_config([tmp_path / "contratos.xlsx"], "academia")
    assert "sheet: Contratos 2024  # DOUBT: it holds most; the others are Resumen" in text
    content = proposed(tmp_path / "contratos.xlsx")
    assert content["churn"]["kind"] == "contract"
    assert content["source"]["options"]["subscriptions"]["sheet"] == "Contratos 2024"


def test_what_came_is_proposed_as_the_value_and_never_as_a_feature(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"customer_id": range(60), "churn": ["yes", "no"] * 30, "gifts": rng.poisson(2, 60),
         "Waehrung": ["EUR", "EUR", "CHF"] * 20,
         "donated_next_90_days": rng.lognormal(3, 1, 60).round(2), "visits_next_90_days": rng.poisson(9, 60)}
    )  # fmt: skip
    told = proposed(path := write(tmp_path, "donors.csv", frame))
    profiles = told["source"]["options"]["profiles"]
    assert profiles["columns"]["realised_value"] == "donated_next_90_days" and profiles["currency"] == "Waehrung"
    assert told["columns"]["exclude"] == ["visits_next_90_days"] and told["clv"] == {"horizon_days": 90}
    assert "DOUBT: is it what each customer brought?" in propose_config([path])[0]
    assert "over how many days realised_value counts; DOUBT: only you know" in propose_config([path])[0]
    plain = proposed(write(tmp_path, "plain.csv", frame.drop(columns=["donated_next_90_days", "visits_next_90_days"])))
    assert "clv" not in plain and "currency" not in plain["source"]["options"]["profiles"]


def test_a_value_that_came_and_no_label_is_proposed_as_value_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"Spendernr": [f"s{n}" for n in range(60)], "gifts": rng.poisson(2, 60),
         "Gespendet in den nächsten 90 Tagen": rng.lognormal(3, 1, 60).round(2)}
    )  # fmt: skip
    told = proposed(path := write(tmp_path, "spender.csv", frame))
    assert told["churn"] == {"kind": "label", "forecast": False} and told["clv"] == {"horizon_days": 90}
    assert set(told["source"]["options"]["profiles"]["columns"]) == {"customer_id", "realised_value"}
    assert "no column says who left: value alone" in propose_config([path])[0]


@pytest.mark.parametrize(("sign", "first"), [("¥", "JPY"), ("$", "USD"), ("€", "EUR")])
def test_a_sign_of_several_currencies_is_proposed_as_one_of_them_with_a_doubt(
    tmp_path: Path, sign: str, first: str
) -> None:
    frame = orders(order_id=range(60), customer_id=WHO, order_date=DAYS.strftime("%Y-%m-%d"))
    path = write(tmp_path, "orders.csv", frame.assign(amount=[f"{sign}{n}.50" for n in range(60)]))
    (line,) = [line for line in propose_config([path], "shop")[0].splitlines() if line.startswith("currency:")]
    assert line.startswith(f"currency: {first} ")
    assert ("DOUBT: the files have" in line) == (sign != "€")


def test_files_without_rows_are_named_where_nothing_can_be_proposed(tmp_path: Path) -> None:
    empty = [write(tmp_path, name, pd.DataFrame({"place": [], "rain": []})) for name in ("a.csv", "b.csv")]
    with pytest.raises(DataError, match=r"no file looks like.*'.*a\.csv' holds a header and no row.*b\.csv"):
        propose_config(empty)
