"""The recipe over many businesses: what is drawn, what is told of a fault, what goes on, and what is summed up."""

import argparse
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.errors import NotEnoughDataError

# by its path: were the folder on the search path, bench/features.py would hide the package in processes started here
spec = importlib.util.spec_from_file_location("bench_robust", Path(__file__).parents[2] / "bench" / "robust.py")
robust = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = robust
spec.loader.exec_module(robust)
businesses = sys.modules["bench.businesses"]
OPTIONS = argparse.Namespace(trials=2, seed=0, draws=50, tasks=["churn", "clv"], only=["*"], limit=None, data=Path("."))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(businesses.SHOPS))
def test_a_simulated_shop_stays_within_its_history_and_its_size(name):
    customers, months, law = businesses.SHOPS[name]
    tables = businesses.shop(law, min(customers, 60), months, seed=3)
    orders = tables["orders"]
    days = (businesses.END - orders["ordered_at"]).dt.total_seconds() / 86_400
    assert days.between(0, months * 31).all()
    assert orders["order_id"].is_unique
    assert len(tables["customers"]) <= min(customers, 60)
    assert (orders["amount"] < 0).any() == (law.returns > 0)
    pd.testing.assert_frame_equal(orders, businesses.shop(law, min(customers, 60), months, seed=3)["orders"])


def test_a_season_moves_the_orders_and_a_regular_rhythm_narrows_the_gaps():
    flat = businesses.Shop(2.0, shape=50.0, stays_months=1000, existing=1.0)
    month = businesses.shop(flat, 200, 24, 1)["orders"]["ordered_at"].dt.month.value_counts(normalize=True)
    assert month.max() < 0.12
    changed = businesses.Shop(2.0, shape=50.0, stays_months=1000, existing=1.0, season=businesses.CHRISTMAS)
    month = businesses.shop(changed, 200, 24, 1)["orders"]["ordered_at"].dt.month.value_counts(normalize=True)
    assert month[12] > 2.5 * month[6]

    def spread(rhythm):
        law = businesses.Shop(2.0, shape=1e4, rhythm=rhythm, stays_months=1000, existing=1.0)
        gaps = businesses.shop(law, 50, 24, 1)["orders"].groupby("customer_id")["ordered_at"].diff().dropna()
        return gaps.std() / gaps.mean()

    assert spread("regular") < 0.5 < 0.9 < spread("poisson") < 1.1 < 1.4 < spread("bursty")


def test_contracts_end_at_their_risk_and_a_ready_label_has_its_share():
    contracts = businesses.club(businesses.Club(0.1, early=1.0, differ=0.1), 600, 10, 2)["subscriptions"]
    ended = contracts["ended_at"].fillna(businesses.END)
    months = (ended - contracts["started_at"]).dt.total_seconds().sum() / 86_400 / businesses.DAYS_A_MONTH
    assert contracts["ended_at"].notna().sum() / months == pytest.approx(0.1, rel=0.2)
    label = businesses.ready(4000, 1, share=0.05)["profiles"]["label"]
    assert label.mean() == pytest.approx(0.05, abs=0.02)


def test_the_catalogue_holds_thirty_businesses_and_more_small_ones_first():
    every = businesses.catalogue(Path("."), 0)
    assert len(every) >= 30
    assert [b.size for b in every] == sorted(b.size for b in every)
    assert len({b.name for b in every}) == len(every)
    options = argparse.Namespace(**vars(OPTIONS) | {"only": ["grocer_*"], "limit": 2})
    assert [b.name for b in robust.chosen(options)] == [b.name for b in every if b.name.startswith("grocer_")][:2]


def test_one_business_that_fails_is_a_row_and_not_the_end():
    def broken():
        raise ZeroDivisionError("no such shop")

    results, moments = robust.run_business(businesses.Business("x", "inactivity", 1, broken), OPTIONS)
    assert results[0]["status"] == "ERROR"
    assert "ZeroDivisionError: no such shop (test_robust.py" in results[0]["why"]
    assert moments == []
    assert robust._failure(NotEnoughDataError("few"), 0.0)["status"] == "not enough"


def test_the_settings_are_those_that_init_would_propose(tmp_path):
    days = pd.to_datetime(["2025-01-01", "2025-01-01", "2025-02-10", "2025-03-22"])
    orders = pd.DataFrame({"order_id": list("abcd"), "customer_id": "ann", "ordered_at": days, "amount": 1.0})
    business = businesses.Business("tiny", "inactivity", 1, dict)
    settings = robust.settings_of(business, {"orders": orders}, tmp_path, trials=3, seed=7)
    assert (settings.churn.horizon_days, settings.churn.activity_days) == (60, 120)
    assert (settings.tuning.trials, settings.tuning.seed) == (3, 7)


def test_a_rival_that_is_truly_better_is_counted_and_an_equal_one_is_not():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.95, 2000)
    rows = pd.DataFrame(
        {"customer_id": range(2000), "as_of": pd.Timestamp("2025-01-01"), "label": rng.random(2000) < p}
    )
    rows = rows.assign(
        label=rows["label"].astype(float), forecast=0.5 + (p - 0.5) * 0.3, baseline=p, prior=0.5 + (p - 0.5) * 0.3
    )
    moments = pd.DataFrame(robust.compare(rows, "churn", "mae", promoted=False, draws=100))
    better = moments.set_index(["ours", "rival", "measure"])["better"]
    assert better["candidate", "rule", "log_loss"] == "rival"
    assert better["stand-in", "rule", "log_loss"] == "rival"
    assert better["candidate", "prior", "log_loss"] == "neither"
    assert better["candidate", "rule", "auc"] == "neither"  # the same order of customers
    lines = dict(
        robust.summary(
            pd.DataFrame(
                [{"business": "x", "task": "churn", "status": "REFUSED", "basis": "model", "gates": "min_auc a"}]
            ),
            moments,
        )
    )
    assert lines["rule better than candidate, log_loss"].startswith("1 of 1: 100.0%")
    assert lines["rule better than what serves, log_loss"].startswith("1 of 1: 100.0%")
    assert lines["  refused by min_auc"] == "1"


def test_a_run_goes_on_where_it_was_cut_off(tmp_path, monkeypatch, capsys):
    def run(business, options):
        ran.append(business.name)
        about = {"business": business.name, "task": "churn", "status": "served", "seconds": 1.0} | robust.asked(options)
        return [about | {"basis": "model", "gates": ""}], []

    ran = []
    monkeypatch.setattr(robust, "run_business", run)
    for limit in ("2", "3"):
        monkeypatch.setattr(sys, "argv", ["robust.py", str(tmp_path), "--limit", limit])
        robust.main()
    assert len(ran) == len(set(ran)) == 3
    assert len(robust.read(tmp_path)[0]) == 3
    for other in (["--trials", "7"], ["--seed", "1"], ["--tasks", "clv"]):
        monkeypatch.setattr(sys, "argv", ["robust.py", str(tmp_path), *other])
        with pytest.raises(SystemExit, match="other trials, tasks or another seed"):
            robust.main()
    page = tmp_path / "page.md"
    page.write_text("<!-- businesses -->\n\n<!-- /businesses -->\n", "utf-8")
    monkeypatch.setattr(sys, "argv", ["robust.py", str(tmp_path), "--limit", "3", "--page", str(page)])
    robust.main()
    assert "| served | 3 |" in page.read_text("utf-8")
    assert robust.against(robust.read(tmp_path)[0], robust.read(tmp_path)[0])[0] == ("models in both", "3")


@pytest.mark.slow
def test_a_small_shop_goes_the_whole_way():
    law = businesses.Shop(3.0, stays_months=6)
    business = businesses.Business("corner", "inactivity", 1, lambda: businesses.shop(law, 60, 9, 1))
    results, moments = robust.run_business(business, OPTIONS)
    assert [r["status"] for r in results] == ["served", "served"], results
    assert {m["rival"] for m in moments} == {"rule"}  # a prior has no prior beside it
    assert results[1]["n_all"] == results[1]["rows"] == sum(results[1][f"n_{t}"] for t in robust.TIERS)
