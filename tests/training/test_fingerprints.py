from __future__ import annotations

from configs.settings import Settings
from configs.workspace import Workspace
from training.fingerprints import training_fingerprint


def test_a_model_is_trained_anew_for_another_task_seed_or_labels_and_not_for_more_processes(
    fresh: Workspace, few: Settings
) -> None:
    def changed(**update: object) -> Settings:
        return few.model_copy(update={"tuning": few.tuning.model_copy(update=update)})

    before = training_fingerprint(few, fresh, "churn")
    assert training_fingerprint(few, fresh, "clv") != before
    assert training_fingerprint(changed(seed=1), fresh, "churn") != before
    assert training_fingerprint(changed(workers=2), fresh, "churn") == before
    labels = fresh.features / "labels.parquet"
    labels.write_bytes(labels.read_bytes() + b" ")
    assert training_fingerprint(few, fresh, "churn") != before
