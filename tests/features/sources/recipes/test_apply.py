"""Exports in the shapes of well-known systems are read to the right rows by what their recipes propose."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from configs.errors import ConfigError, DataError
from configs.yaml_file import read_yaml
from features.sources.loaders import loader
from features.sources.propose import propose_config

SHOPIFY = """\
Name,Email,Financial Status,Paid at,Fulfillment Status,Currency,Subtotal,Shipping,Taxes,Total,Discount Code,\
Discount Amount,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Refunded Amount,Id,Source,\
Cancelled at
#1001,ann@example.com,paid,2023-01-05 10:11:12 -0500,fulfilled,USD,30.00,5.00,0.00,35.00,,0.00,\
2023-01-05 10:11:10 -0500,1,"Mug, blue",10.00,M1,0.00,90001,web,
#1001,ann@example.com,,,,,,,,,,,2023-01-05 10:11:10 -0500,2,Plate,10.00,P1,,,,
#1002,bob@example.com,refunded,2023-01-06 09:00:00 -0500,,USD,25.00,0.00,0.00,25.00,,0.00,\
2023-01-06 09:00:00 -0500,1,Bowl,25.00,B1,25.00,90002,web,
#1003,,paid,2023-01-07 09:00:00 -0500,,USD,12.00,0.00,0.00,12.00,,0.00,\
2023-01-07 09:00:00 -0500,1,Cup,12.00,C1,0.00,90003,pos,
#1004,ann@example.com,partially_refunded,2023-01-08 09:00:00 -0500,,USD,50.00,0.00,0.00,50.00,,0.00,\
2023-01-08 09:00:00 -0500,1,Jug,50.00,J1,10.00,90004,web,
#1005,ann@example.com,voided,,,USD,9.00,0.00,0.00,9.00,,0.00,2023-01-09 09:00:00 -0500,1,Cup,9.00,C1,0.00,90005,web,
#1006,bob@example.com,pending,,,USD,8.00,0.00,0.00,8.00,,0.00,2023-01-10 09:00:00 -0500,1,Cup,8.00,C1,0.00,90006,web,
#1007,bob@example.com,paid,2023-01-11 09:00:00 -0500,,USD,7.00,0.00,0.00,7.00,,0.00,\
2023-01-11 09:00:00 -0500,1,Cup,7.00,C1,7.00,90007,web,2023-01-11 12:00:00 -0500
"""
WOO_PLUGIN = """\
Order Number,Order Status,Order Date,Customer Note,Email (Billing),Order Total Amount,Order Refund Amount,Order Currency
501,Completed,2024-01-15 12:00,,eva@example.com,108.00,8.00,EUR
502,Cancelled,2024-01-16 12:00,,eva@example.com,50.00,0,EUR
503,Processing,2024-01-17 12:00,,max@example.com,20.00,0,EUR
"""
WOO_ANALYTICS = """\
Date,Order #,Status,Customer,Customer type,Product(s),Items sold,Coupon(s),N. Revenue,Origin
2024-01-15 12:00:00,71,completed,Eva Ruiz,new,1× Tee,1,,108,Direct
2024-01-16 12:00:00,72,completed,Eva Ruiz,new,1× Tee,1,,50,Direct
"""
WOO_EXPORT = """\
order_id,order_number,date,status,order_total,refunded_total,order_currency,customer_id,billing_email
71,71,2024-01-15 12:00:00,completed,108.00,0.00,EUR,0,eva@example.com
72,72,2024-01-16 12:00:00,failed,50.00,0.00,EUR,0,max@example.com
"""
STRIPE_SUBSCRIPTIONS = """\
id,Customer ID,Customer Email,Plan,Quantity,Currency,Interval,Amount,Status,Created (UTC),Start (UTC),\
Current Period Start (UTC),Current Period End (UTC),Trial Start (UTC),Trial End (UTC),Canceled At (UTC),\
Cancel At Period End,Ended At (UTC)
sub_1,cus_A,a@example.com,basic,1,usd,month,10.00,active,2023-01-01 00:00,2023-01-01 00:00,\
2023-11-01 00:00,2023-12-01 00:00,,,,false,
sub_2,cus_B,b@example.com,pro,1,usd,year,240.00,canceled,2022-01-01 00:00,2022-01-01 00:00,\
2023-01-01 00:00,2024-01-01 00:00,,,2023-06-01 09:30,true,
sub_3,cus_C,c@example.com,basic,2,usd,month,10.00,trialing,2023-11-20 00:00,2023-11-20 00:00,\
2023-11-20 00:00,2023-12-04 00:00,2023-11-20 00:00,2023-12-04 00:00,,false,
"""
STRIPE_INVOICES = """\
id,Amount Due,Amount Paid,Billing,Currency,Customer,Date (UTC),Number,Paid,Status,Subscription,Total
in_1,10.00,10.00,charge_automatically,usd,cus_A,2023-10-01 00:00,A-1,TRUE,paid,sub_1,10.00
in_2,10.00,0.00,charge_automatically,usd,cus_A,2023-11-01 00:00,A-2,FALSE,open,sub_1,10.00
"""
STRIPE_API = """\
id,customer,status,created,canceled_at,ended_at,cancel_at_period_end,current_period_end,plan,amount,currency
sub_1,cus_A,active,1672531200,,,false,1701388800,basic,1000,usd
sub_2,cus_B,active,1672531200,,,false,1701388800,basic,5000,jpy
"""
CHARGEBEE = """\
subscriptions.id,customers.id,subscriptions.plan_id,subscriptions.status,subscriptions.current_term_end,\
subscriptions.started_at,subscriptions.cancelled_at,subscriptions.cancel_schedule_created_at,subscriptions.mrr
s1,c1,gold,Non Renewing,2024-03-01 00:00:00,2023-03-01 00:00:00,2024-03-01 00:00:00,2024-01-15 08:00:00,49.00
s2,c2,gold,Active,2024-04-01 00:00:00,2023-04-01 00:00:00,,,49.00
s3,c3,gold,In Trial,2024-02-14 00:00:00,2024-02-01 00:00:00,,,49.00
"""
HUBSPOT_DEALS = """\
Record ID,Deal Name,Deal Stage,Amount,Close Date,Create Date,Deal owner,Pipeline,Associated Company,\
Associated Company IDs
101,Acme renewal,Closed Won (Sales Pipeline),1200,2024-03-04 10:00,2024-01-01 09:00,Sam,Sales Pipeline,Acme,9001
102,Acme upsell,Closed Lost (Sales Pipeline),500,2024-03-05 10:00,2024-01-02 09:00,Sam,Sales Pipeline,Acme,9001
103,Globex new,Qualified To Buy (Sales Pipeline),700,2030-01-01 10:00,2024-02-01 09:00,Sam,Sales Pipeline,Globex,9002
"""
HUBSPOT_COMPANIES = """\
Record ID,Company name,Company owner,Create Date,Industry
9001,Acme,Sam,2023-05-01 08:00,COMPUTER_SOFTWARE
9002,Globex,Sam,2023-06-01 08:00,RETAIL
"""
SALESFORCE_ACCOUNTS = """\
"Id","IsDeleted","Name","Type","Industry","CreatedDate"
"001A000001AbCdeIAF","false","Acme","Customer","Retail","2022-05-01T08:00:00.000Z"
"001A000001AbCdEIAV","true","Old","Customer","Retail","2022-05-02T08:00:00.000Z"
"""
SALESFORCE_OPPORTUNITIES = """\
"Id","IsDeleted","AccountId","Name","StageName","Amount","CloseDate","Type","LeadSource","IsWon"
"006A1","false","001A000001AbCdeIAF","Acme 1","Closed Won","1000.0","2023-03-01","New Business","Web","true"
"006A2","false","001A000001AbCdeIAF","Acme 2","Closed Lost","900.0","2023-04-01","New Business","Web","false"
"006A3","true","001A000001AbCdeIAF","Acme 3","Closed Won","800.0","2023-05-01","New Business","Web","true"
"""


def proposed(folder: Path, recipe: str, **files: str) -> tuple[dict[str, Any], dict[str, pd.DataFrame], str]:
    """The configuration that a recipe proposes for these files, the rows that are read by it, and its text."""
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, "utf-8")
    text, _ = propose_config([folder], "shop", recipe)
    (folder / "shop.yaml").write_text(text, "utf-8")
    content = read_yaml(folder / "shop.yaml")
    return content, loader("files").load(content["source"]["options"]), text


def cells(frame: pd.DataFrame, *names: str) -> list[tuple[str, ...]]:
    return [tuple("" if pd.isna(v) else str(v) for v in row) for row in frame[list(names)].itertuples(index=False)]


def test_shopify_lines_become_orders_and_refunds_count_against_them(tmp_path: Path) -> None:
    content, tables, _ = proposed(tmp_path, "shopify", orders_export=SHOPIFY)
    assert content["source"]["customers_from"] == "orders"
    assert cells(tables["orders"], "order_id", "customer_id", "amount") == [
        ("#1001", "ann@example.com", "35.0"), ("#1002", "bob@example.com", "25.0"),
        ("#1004", "ann@example.com", "50.0"),
        ("refund-#1002", "bob@example.com", "-25.0"), ("refund-#1004", "ann@example.com", "-10.0"),
    ]  # fmt: skip
    assert tables["orders"]["quantity"].tolist()[0] == 3
    assert "source_reason" not in tables["orders"]  # nothing is wrong with any of them
    assert pd.to_datetime(tables["orders"]["ordered_at"], utc=True).dt.hour.tolist()[0] == 15


@pytest.mark.parametrize(
    ("export", "rows"),
    [
        (WOO_PLUGIN, [("501", "eva@example.com", "108.0"), ("503", "max@example.com", "20.0"),
                      ("refund-501", "eva@example.com", "-8.0")]),
        (WOO_EXPORT, [("71", "eva@example.com", "108.0")]),
    ],
)  # fmt: skip
def test_woocommerce_orders_of_guests_are_theirs_by_e_mail(
    tmp_path: Path, export: str, rows: list[tuple[str, ...]]
) -> None:
    content, tables, _ = proposed(tmp_path, "woocommerce", orders=export)
    assert cells(tables["orders"], "order_id", "customer_id", "amount") == rows and content["currency"] == "EUR"


def test_an_export_that_names_no_customer_says_what_to_export_instead(tmp_path: Path) -> None:
    said = "the download of WooCommerce's analytics page names no customer .* export the orders by an extension"
    with pytest.raises(DataError, match=f"orders: orders.csv has no customer_id: {said}"):
        proposed(tmp_path, "woocommerce", orders=WOO_ANALYTICS)
    text, business = propose_config([tmp_path], "shop", "woocommerce")
    assert re.search(f"# customer_id: [?]  # {said}", text)
    assert [re.match(said, table["instead"]["customer_id"]) is not None for table in business.to_dict()["tables"]] == [
        True
    ]
    assert "DOUBT: names, which several people share" in propose_config([tmp_path], "shop")[0]


def test_stripe_prices_are_of_a_month_and_invoices_that_were_paid_are_orders(tmp_path: Path) -> None:
    content, tables, text = proposed(tmp_path, "stripe", subscriptions=STRIPE_SUBSCRIPTIONS, invoices=STRIPE_INVOICES)
    assert content["churn"]["kind"] == "contract" and content["source"]["customers_from"] == "subscriptions"
    rows = tables["subscriptions"].sort_values("subscription_id")
    assert cells(rows, "subscription_id", "price_per_month", "status") == [
        ("sub_1", "10.0", "active"), ("sub_2", "20.0", "canceled"), ("sub_3", "20.0", "trialing"),
    ]  # fmt: skip
    assert pd.to_datetime(rows["paid_until"], utc=True).dt.day.tolist() == [1, 1, 4]
    assert str(rows["cancelled_at"].iloc[1]).startswith("2023-06-01 09:30")
    assert cells(tables["orders"], "order_id", "amount") == [("in_1", "10.0")]
    assert not any("not read" in line and "Quantity" in line for line in text.splitlines())
    assert "price_per_month: Amount times Quantity" in text and "DOUBT: rows share" not in text


def test_a_price_is_that_of_all_units_and_of_one_of_its_periods(tmp_path: Path) -> None:
    rows = ["month,1,3,4000", "month,3,1,3000", "year,1,2,12000", "year,2,,24000", "month,soon,1,1000"]
    head = "id,customer,status,created,current_period_end,currency,interval,interval_count,quantity,amount\n"
    api = "".join(f"sub_{i},cus_{i},active,1672531200,1701388800,usd,{row}\n" for i, row in enumerate(rows))
    _, tables, text = proposed(tmp_path, "stripe", subscriptions=head + api + api.splitlines()[0] + "\n")
    prices = tables["subscriptions"].drop_duplicates("subscription_id").set_index("subscription_id")
    assert prices["price_per_month"].astype(float).round(6).tolist()[:2] == [120.0, 10.0]
    assert prices.loc[["sub_2", "sub_3"], "price_per_month"].astype(float).tolist() == [20.0, 10.0]
    assert "interval_count is no number above 0" in str(prices.loc["sub_4"].tolist())
    assert "DOUBT: rows share one id" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("second", "added_up"),
    [
        ("sub_1,cus_1,active,1672531200,1701388800,usd,year,1,2,24000,extra seats", True),
        ("sub_1,cus_1,active,1672531200,1701388800,usd,year,1,1,12000,basic", False),  # a copy
        ("sub_1,cus_1,canceled,1672531200,1701388800,usd,year,1,1,6000,basic", False),  # a later state
        ("sub_1,cus_1,active,1672531200,1701388800,usd,month,1,1,500,support", False),  # of two periods
    ],
)
def test_prices_of_the_items_of_one_subscription_are_added_up_and_what_may_be_no_items_is_asked(
    tmp_path: Path, second: str, added_up: bool
) -> None:
    head = "id,customer,status,created,current_period_end,currency,interval,interval_count,quantity,amount,plan\n"
    first = "sub_1,cus_1,active,1672531200,1701388800,usd,year,1,1,12000,basic\n"
    other = "sub_2,cus_2,active,1672531200,1701388800,usd,year,1,1,6000,basic\n"
    _, tables, text = proposed(tmp_path, "stripe", subscriptions=head + first + other + second + "\n")
    assert ("DOUBT: rows share" not in text) == added_up == ("are its items" in text)
    if added_up:
        rows = tables["subscriptions"]
        assert cells(rows, "subscription_id", "plan", "price_per_month") == [
            ("sub_1", "basic", "50.0"), ("sub_2", "basic", "5.0")
        ]  # fmt: skip


@pytest.mark.parametrize(("price", "value"), [("plan_unit_price", "40.0"), ("plan_amount", "10.0"), ("mrr", "120.0")])
def test_chargebee_prices_are_of_a_month_whatever_the_billing_period(tmp_path: Path, price: str, value: str) -> None:
    head = f"subscriptions.id,customers.id,subscriptions.status,subscriptions.started_at,subscriptions.{price},"
    head += "subscriptions.plan_quantity,subscriptions.billing_period,subscriptions.billing_period_unit\n"
    line = "s1,c1,Active,2023-03-01 00:00:00,120.00,4,1,Year\n"
    _, tables, _ = proposed(tmp_path, "chargebee", subscriptions=head + line)
    assert cells(tables["subscriptions"], "price_per_month") == [(value,)]


def test_stripe_amounts_of_the_api_are_hundredths_and_yen_are_not(tmp_path: Path) -> None:
    content, tables, _ = proposed(tmp_path, "stripe", subscriptions=STRIPE_API)
    assert cells(tables["subscriptions"], "subscription_id", "price_per_month") == [("sub_1", "10.0")]
    assert content["source"]["options"]["subscriptions"]["where"] == {"currency": {"not": ["jpy"]}}


def test_chargebee_says_cancelled_at_for_the_end_and_notice_stands_elsewhere(tmp_path: Path) -> None:
    _, tables, _ = proposed(tmp_path, "chargebee", subscriptions=CHARGEBEE)
    rows = tables["subscriptions"]
    assert cells(rows, "subscription_id", "status") == [("s1", "non_renewing"), ("s2", "active"), ("s3", "in_trial")]
    assert str(rows["ended_at"].iloc[0])[:10] == "2024-03-01" and str(rows["cancelled_at"].iloc[0])[:10] == "2024-01-15"


def test_hubspot_deals_that_were_won_are_orders_of_the_company(tmp_path: Path) -> None:
    content, tables, _ = proposed(tmp_path, "hubspot", deals=HUBSPOT_DEALS, companies=HUBSPOT_COMPANIES)
    assert cells(tables["orders"], "order_id", "customer_id", "amount") == [("101", "9001", "1200.0")]
    assert len(tables["customers"]) == 2 and content["churn"]["kind"] == "inactivity"


def test_salesforce_opportunities_that_were_won_are_orders_of_the_account(tmp_path: Path) -> None:
    _, tables, _ = proposed(
        tmp_path, "salesforce", accounts=SALESFORCE_ACCOUNTS, opportunities=SALESFORCE_OPPORTUNITIES
    )
    assert cells(tables["orders"], "order_id", "customer_id", "amount") == [("006A1", "001A000001AbCdeIAF", "1000.0")]
    assert cells(tables["customers"], "customer_id") == [("001A000001AbCdeIAF",)]


def test_a_file_that_the_recipe_does_not_know_is_said_and_none_at_all_is_refused_with_what_it_knows(
    tmp_path: Path,
) -> None:
    _, _, text = proposed(tmp_path, "chargebee", subscriptions=CHARGEBEE, weather="place,rain\na,1\n")
    assert "weather.csv: not known to the recipe of Chargebee" in text
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "weather.csv").write_text("place,rain\na,1\n")
    with pytest.raises(DataError, match=r"no file is an export of Shopify.*Financial Status"):
        propose_config([tmp_path / "empty"], "x", "shopify")
    with pytest.raises(ConfigError, match=r"no recipe 'shopfy' .did you mean 'shopify'"):
        propose_config([tmp_path / "empty"], "x", "shopfy")


def test_a_period_that_is_not_known_is_asked_about(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(STRIPE_SUBSCRIPTIONS.replace(",year,", ",fortnight,"))
    with pytest.raises(DataError, match="'Interval' holds 'fortnight'"):
        propose_config([tmp_path], "x", "stripe")


TRANSLATED = {
    "hubspot, de": (
        "Datensatz-ID,Unternehmensname,Erstellungsdatum\n9001,Acme,2023-01-01\n",
        "Datensatz-ID,Deal-Name,Deal-Phase,Betrag,Abschlussdatum,Zugeordnete Unternehmens-IDs\n"
        "101,A,Abgeschlossen und gewonnen (Vertrieb),1200,2024-03-04,9001\n"
        "102,B,Abgeschlossen und verloren (Vertrieb),500,2024-03-05,9001\n",
    ),
    "salesforce, de": (
        "Account-ID,Accountname,Erstelldatum\n0016000000MRatdAAC,Acme,01.02.2023\n",
        "Opportunity-ID,Opportunity-Name,Account-ID,Phase,Betrag,Schlusstermin\n"
        "101,A,0016000000MRatd,Geschlossen und gewonnen,1200,25.03.2024\n"
        "102,B,0016000000MRatd,Geschlossen und verloren,500,26.03.2024\n",
    ),
    "salesforce, fr": (
        "ID du compte,Nom du compte,Date de création\n0016000000MRatdAAC,Acme,2023-02-01\n",
        "ID de l'opportunité,Nom de l'opportunité,ID du compte,Étape,Montant,Date de clôture\n"
        "101,A,0016000000MRatd,Fermée gagnée,1200,2024-03-25\n102,B,0016000000MRatd,Fermée perdue,500,2024-03-26\n",
    ),
}


@pytest.mark.parametrize("shape", TRANSLATED)
def test_exports_with_translated_names_are_known_and_their_ids_join(tmp_path: Path, shape: str) -> None:
    accounts, deals = TRANSLATED[shape]
    _, tables, text = proposed(tmp_path, shape.split(",")[0], accounts=accounts, deals=deals)
    assert cells(tables["orders"], "order_id", "amount") == [("101", "1200.0")]
    assert cells(tables["orders"], "customer_id") == cells(tables["customers"], "customer_id")
    assert ("ids: {customer_id: [salesforce]}" in text) == shape.startswith("salesforce")
    assert "leaves out 1 rows of the sample" in text
