"""Names of what came after, of the days before, and of either, in five languages."""

from __future__ import annotations

import pytest

from features.sources.proposal.time_in_names import time_told

AHEAD = """revenue_next_90d; RevenueNext90Days; spend_90d_after; Spend 90d later; future_value; clv_future; t+1 sales;
    revenue_M+3; next_month_spend; spend in the next 30 days; spend_90_days_post; subsequent_orders;
    Umsatz nächste 12 Monate; Umsatz 90 Tage danach; Spende im Folgejahr; künftiger Umsatz;
    Gespendet in den nächsten 90 Tagen;
    12 mois suivants; les 90 prochains jours; dépenses futures; 90 jours après; gasto_proximos_90_dias;
    compras 90 dias después; futuras compras; 未来90天消费; 90天后消费; 下个月消费; 未来三个月消费"""
OUTCOME = """will_churn_prob; churn_risk; predicted_ltv; sales_forecast; Abwanderungswahrscheinlichkeit;
    Prognose Umsatz; Prévision du chiffre d'affaires; pronóstico de ventas; Attrition_Reason; 预测价值; 流失概率"""
DOUBT = """Umsatz in 90 Tagen; innerhalb von 30 Tagen; chiffre d'affaires à 90 jours; dans 90 jours; Gasto en 90 días;
    spend_within_30_days; donated_after_90_days; spend_90d_after_signup; NextPurchaseDay; 90天内消费;
    Ventas a 90 días; ventes_a_12_mois; gasto_en_90d; ventes à 90 j"""
SPAN = """spend_90d; Umsatz 90 Tage; gasto_90d; orders_12m; Visites 30 jours; 90天消费; logged_in_30d; Plan A 12 months;
    a_24_months_contract; a_1_year_plan; Plan A 30d; Forfait A 12 mois; contrat à 24 mois; contrato a 12 meses;
    lock_in_24_months; pay_later_12_months; emails_en_30_days"""
NOTHING = """last_90_days; spend_last_90d; previous_90d; days_since_last; 30 days ago; last_purchase_in_90_days;
    prev_churn; letzte 90 Tage; Umsatz der letzten 12 Monate; Umsatz vor 90 Tagen; dépenses des 90 derniers jours;
    gasto últimos 90 días; 过去90天; 近90天消费; 上月消费; next_bill_day; next_best_offer; age_in_years;
    Alter in Jahren; EstimatedSalary; pay_later; futures_volume; Tenure Months; Months_on_book;
    Antigüedad en meses; Durée en mois; 售后次数; Nachname; post_code; Day Charge; customer_id"""


def names(text: str) -> list[str]:
    return [" ".join(name.split()) for name in text.split(";")]


@pytest.mark.parametrize(
    ("kind", "text"), [("ahead", AHEAD), ("outcome", OUTCOME), ("doubt", DOUBT), ("span", SPAN), (None, NOTHING)]
)
def test_each_name_is_read_as_people_mean_it(kind: str | None, text: str) -> None:
    read = {name: told.kind if (told := time_told(name)) else None for name in names(text)}
    assert {name: found for name, found in read.items() if found != kind} == {}


def test_a_span_alone_is_not_asked_about_and_every_other_reading_is() -> None:
    asked = {name for name in names(f"{AHEAD};{OUTCOME};{DOUBT};{SPAN};{NOTHING}") if is_asked(name)}
    assert asked == {*names(AHEAD), *names(OUTCOME), *names(DOUBT)}


def is_asked(name: str) -> bool:
    told = time_told(name)
    return told is not None and told.is_asked


@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("donated_next_90_days", 90), ("next_12_months", 365), ("nächste 2 Wochen", 14), ("3 mois suivants", 91),
        ("proximo año", 365), ("未来3个月消费", 91), ("future_value", None), ("spend_three_months_after", None),
        ("未来三个月消费", None), ("2019_next_12_months", 365), ("spend_2017_next_month", 30),
        ("Umsatz 2019 nächster Monat", 30), ("les 90 prochains jours", 90), ("12 next two months", None),
        ("next_0_days", None), ("spend_next_4000_days", None), ("next_2017_months", None),
        ("2023_90天后消费", 90), ("Umsatz 2024 in 90 Tagen", 90), ("2019年90天后消费", 90),
    ],
)  # fmt: skip
def test_the_length_of_the_span_is_told_where_it_stands_in_digits(name: str, days: int | None) -> None:
    told = time_told(name)
    assert told is not None and told.days == days
