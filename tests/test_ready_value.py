"""A file of donors, most of whom give nothing, from its export to whole answers: churn and value of a ready table."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from configs.settings import merged_with_default
from features.sufficiency import check_source
from training.data.expected_basis import expected_basis

Staycast = Callable[..., subprocess.CompletedProcess[str]]
FEATURES = ["Gifts", "Last_gift", "Region"]


def donors(n: int = 240, seed: int = 0) -> pd.DataFrame:
    """Amounts as a German export writes them; of every tenth donor nobody knows what came, one sum is no number."""
    rng = np.random.default_rng(seed)
    gifts, last = rng.poisson(2, n), rng.lognormal(3, 1, n)
    gave = rng.random(n) < 1 / (1 + np.exp(2.9 - 0.6 * gifts))
    given = np.where(gave, last * rng.lognormal(0, 1, n), 0.0)
    given[5] = -20.0
    written = pd.Series([f"{v:,.2f} EUR".translate(str.maketrans(",.", ".,")) for v in given])
    written[np.arange(n) % 10 == 0] = "k.A."
    written[np.arange(n) % 10 == 1] = ""
    written[3] = "viel"
    return pd.DataFrame(
        {
            "Spender": [f"s{i}" for i in range(n)],
            "Gifts": gifts,
            "Last gift": last.round(2),
            "Region": rng.choice(["Nord", "Sued"], n),
            "Ausgetreten": np.where(~gave & (rng.random(n) < 0.4), "ja", "nein"),
            "Gespendet danach": written,
        }
    )


def config(folder: Path, table: pd.DataFrame, **change: object) -> Path:
    table.to_csv(folder / "spender.csv", index=False)
    names = {"customer_id": "Spender", "label": "Ausgetreten", "realised_value": "Gespendet danach"}
    own = {
        "name": "donors",
        "currency": "EUR",
        "source": {"loader": "files", "options": {"profiles": {"path": str(folder / "spender.csv"), "columns": names}}},
        "churn": {"kind": "label", "horizon_days": 90},
        "tuning": {"trials": 1, "timeout_seconds": 20, "folds": 2, "max_trees": 20},
        "decisions": {"campaign": {"contact_cost": 1.0, "offer_cost": 5.0, "success_rate": 0.3}},
    }
    path = folder / "donors.yaml"
    path.write_text(yaml.safe_dump(own | change), "utf-8")
    return path


def test_the_check_tells_of_value_what_it_tells_of_churn(staycast: Staycast, tmp_path: Path) -> None:
    done = staycast("ingest", "--check", "--config", config(tmp_path, donors()), "--json")
    told = json.loads(done.stdout)
    by_model = {row["what"]: row["found"] for row in told["enough"] if row["model"] == "clv"}
    assert by_model["customers whose value is known"] == 240 - 48 - 1
    assert 0 < by_model["labels of customers who brought something"] < 50
    assert [(e["model"], e["basis"]) for e in told["expected"]] == [("churn", "trees"), ("clv", "prior")]
    (problem,) = told["problems"]
    assert (problem["column"], problem["rule"], problem["rows"]) == ("realised_value", "is not a number", 1)


def test_the_check_of_a_value_alone_tells_of_nothing_else(tmp_path: Path) -> None:
    path = config(tmp_path, donors().drop(columns="Ausgetreten"))
    own = yaml.safe_load(path.read_text("utf-8"))
    del own["source"]["options"]["profiles"]["columns"]["label"], own["decisions"]
    own |= {"churn": {"kind": "label", "forecast": False}, "clv": {"horizon_days": 90}}
    told = check_source(merged_with_default(own, "donors"), expect=expected_basis)
    assert {row["model"] for row in told["enough"]} == {"clv"}
    assert [(e["model"], e["basis"]) for e in told["expected"]] == [("clv", "prior")]


def test_values_in_several_currencies_are_never_taken_as_one(staycast: Staycast, tmp_path: Path) -> None:
    table = donors().assign(**{"Gespendet danach": "5", "Land": ["EUR", "CHF"] * 120})
    done = staycast("ingest", "--check", "--config", config(tmp_path, table), "--json")
    assert done.returncode == 2
    assert "the column 'Land' holds CHF (120 rows), EUR (120 rows)" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_donors_are_answered_with_risk_and_value(staycast: Staycast, tmp_path: Path) -> None:
    path, place = config(tmp_path, donors()), tmp_path / "place"
    accepted = ("--by", "the tests", "--accept-quality", "--reason", "one sum is no number")
    done = staycast("run", "--config", path, "--workspace", place, *accepted, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert list(result["train"]) == ["churn", "clv"]
    assert result["train"]["clv"]["baseline_name"] == "Poisson regression"
    folder = Path(result["score"]["folder"])
    answers = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    stayers = donors().query("Ausgetreten == 'nein' and Spender != 's3'")["Spender"]
    assert {answer["customer_id"] for answer in answers} == set(stayers)  # who gave an unknown sum among them
    for answer in answers:
        value = answer["clv"]
        assert value["low"] <= value["expected"] <= value["high"]
        assert value["quantiles"]["10"] <= value["quantiles"]["50"] <= value["quantiles"]["90"]
        assert value["tier"] in ("diamond", "gold", "silver", "bronze")
        assert (value["horizon_days"], value["currency"]) == (90, "EUR")
        assert list(answer["churn"]["by_horizon"]) == ["90"] and answer["reactivation"] is None
        assert answer["campaign"]["low"] <= answer["campaign"]["expected_profit"] <= answer["campaign"]["high"]
        assert {r["feature"] for r in answer["reasons"] + answer["clv_reasons"]} <= set(FEATURES)
    names = set(pd.read_parquet(place / "state" / "features" / "rows.parquet").columns)
    assert names == {"customer_id", "as_of", "known_at", *FEATURES}
    done = staycast("evaluate", "--config", path, "--workspace", place, "--json")
    assert done.returncode == 0, done.stderr
    examined = json.loads(done.stdout)
    assert examined["churn"]["campaign"]["value_from"] == "clv/1, as judged"
    assert "no dates" in examined["clv"]["note"]
