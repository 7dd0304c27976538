"""A load that is not good enough stops what comes after, through the command line and in the library alike."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import ANY

import pytest
import yaml

from configs.settings import Settings
from configs.workspace import Workspace
from features import build, refresh
from features.quality.anomalies import Finding
from features.quality.quality_gate import Verdict
from features.quality.quality_verdict import QualityError
from features.simulation.shop import generate
from serving.bulk import run as bulk
from tests.judged import publish
from training import run
from training.model.proof import ledger

Run = Callable[..., subprocess.CompletedProcess[str]]


class Business:
    """A small business whose tables are CSV files, worked on by the command line."""

    def __init__(self, folder: Path, staycast: Run) -> None:
        self.folder, self.staycast = folder, staycast
        self.config, self.place = folder / "shop.yaml", Workspace(folder / "place")
        options = {name: {"path": str(folder / f"{name}.csv")} for name in ("customers", "orders")}
        self.config.write_text(yaml.safe_dump({"name": "shop", "source": {"loader": "files", "options": options}}))

    def export(self, broken: float) -> None:
        """Write the files; a share of the amounts cannot be read."""
        tables = generate(120, 8, 7).tables
        columns = ["order_id", "customer_id", "ordered_at", "amount"]
        orders = tables["orders"][columns].astype({"amount": object})
        orders.loc[orders.index[: int(broken * len(orders))], "amount"] = "many"
        orders.to_csv(self.folder / "orders.csv", index=False)
        tables["customers"][["customer_id", "signed_up_at"]].to_csv(self.folder / "customers.csv", index=False)

    def do(self, *words: str) -> tuple[int, str]:
        by = () if words == ("ingest",) else ("--by", "ada")  # who reads files decides nothing
        done = self.staycast(*words, "--config", self.config, "--workspace", self.place.root, *by)
        return done.returncode, " ".join(done.stderr.split())

    def ingest(self) -> dict:
        done = self.staycast("ingest", "--config", self.config, "--workspace", self.place.root, "--json")
        assert done.returncode in (0, 4), done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def business(tmp_path: Path, staycast: Run) -> Business:
    return Business(tmp_path, staycast)


@pytest.mark.slow
def test_the_command_line_stops_at_a_bad_load_and_goes_on_once_it_is_accepted(business: Business) -> None:
    business.export(broken=0.3)
    assert business.do("ingest") == (4, ANY)
    told = {t["name"]: t for t in business.ingest()["tables"]}["orders"]
    assert told["rows_read"] == told["rows_used"] + told["rows_quarantined"]
    assert (business.place.quarantine / "orders.parquet").is_file()
    for words in (("features",), ("features", "--refresh"), ("train", "churn")):
        code, said = business.do(*words)
        assert code == 4, said
        assert "the newest load is not good enough: orders.*: only 70.0% of" in said
        assert '--accept-quality --reason "..."' in said
    code, said = business.do("features", "--accept-quality")
    assert code == 2 and "say why with --reason" in said
    assert ledger.read(business.place.ledger) == []

    code, said = business.do("features", "--accept-quality", "--reason", "a till was broken")
    assert code == 0, said
    (record,) = ledger.read(business.place.ledger)
    assert (record.action, record.by, record.reason) == ("accept_quality", "ada", "a till was broken")
    assert {check["rule"] for check in record.checks} >= {"usable_rows", "validity"}

    code, said = business.do("features")
    assert code == 0 and "nothing changed since the last time, reused" in said
    business.export(broken=0.5)
    business.ingest()
    code, said = business.do("features")
    assert code == 4 and "only 50.0% of" in said
    business.export(broken=0.0)
    business.ingest()
    code, said = business.do("features")
    assert code == 0, said


def stopped(workspace: Workspace) -> Workspace:
    """A workspace whose newest load was judged to be bad."""
    finding = Finding("orders", "amount", "scale_moved", "stop", "x", "y", "z")
    at = datetime(2024, 1, 1, tzinfo=UTC).isoformat()
    verdict = Verdict(at, "s", {"orders": {"validity": 1.0}}, (finding,), True)
    publish(workspace, {**verdict.to_dict(), "fingerprint": verdict.fingerprint}, {"end": None, "tables": {}})
    return workspace


def test_no_function_of_the_library_is_a_way_around_the_gate(workspace: Workspace, settings: Settings) -> None:
    place = stopped(workspace)
    ways: dict[str, Callable[[], object]] = {
        "build": lambda: build.build(settings, place),
        "refresh": lambda: refresh.refresh(settings, place),
        "train": lambda: run.train(settings, place, "churn", "ada"),
        "score": lambda: bulk.score_newest(settings, place),
    }
    for way in ways.values():
        with pytest.raises(QualityError, match=r"orders\.amount"):
            way()


@pytest.mark.slow
def test_what_was_made_before_a_bad_load_is_not_reused_past_the_gate(copied: Workspace, staycast: Run) -> None:
    stopped(copied)
    for words in (("train", "churn"), ("score",)):
        done = staycast(*words, "--config", "test", "--workspace", copied.root)
        assert done.returncode == 4 and "the newest load is not good enough" in " ".join(done.stderr.split())
