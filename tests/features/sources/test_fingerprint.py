from __future__ import annotations

from pathlib import Path

from configs.settings import Settings, load
from features.sources.fingerprint import ingest_fingerprint


def test_tables_are_read_anew_when_a_file_or_what_its_times_mean_changes_and_not_for_another_search(
    tmp_path: Path,
) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("order_id\n1\n")
    test = load("test")
    source = test.source.model_copy(update={"loader": "files", "options": {"orders": {"path": str(path)}}})

    def changed(**update: object) -> Settings:
        return test.model_copy(update={"source": source, **update})

    before = ingest_fingerprint(changed())
    assert ingest_fingerprint(changed(tuning=test.tuning.model_copy(update={"seed": 1}))) == before
    assert ingest_fingerprint(changed(time_zone="Asia/Shanghai")) != before
    assert ingest_fingerprint(changed(churn=test.churn.model_copy(update={"kind": "contract"}))) != before
    path.write_text("order_id\n2\n")
    assert ingest_fingerprint(changed()) != before
