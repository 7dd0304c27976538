from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from serving.records.outcome_log import _SAME, COLUMNS, Outcome, OutcomeConflictError, OutcomeLog

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
FIRST = Outcome("o1", "ann", "accepted", datetime(2024, 2, 29, 8, tzinfo=UTC), 20.0, "spring", "m1")
SECOND = Outcome("o2", "bob", "left", datetime(2024, 2, 28, 8, tzinfo=UTC))


def test_outcomes_are_read_back_as_they_were_written_oldest_first_also_by_another(tmp_path: Path) -> None:
    with OutcomeLog(tmp_path / "o.db") as log:
        assert log.read().empty and list(log.read().columns) == list(COLUMNS)
        assert log.append([FIRST, SECOND], NOW) == ["accepted", "accepted"]
    with OutcomeLog(tmp_path / "o.db") as log:
        rows = log.read()
        assert log.append([SECOND, FIRST], NOW) == ["known", "known"]
        assert len(log.read()) == 2
    assert rows["outcome_id"].tolist() == ["o2", "o1"] and rows["happened_at"].iloc[1] == FIRST.happened_at
    assert rows["value"].isna().tolist() == [True, False] and rows["recorded_at"].eq(NOW).all()
    assert rows[["campaign", "contact_id", "prediction_id"]].iloc[1].tolist() == ["spring", "m1", None]


def test_an_outcome_with_other_content_is_a_conflict_and_nothing_is_written(tmp_path: Path) -> None:
    other = Outcome("o1", "ann", "refused", FIRST.happened_at)
    with OutcomeLog(tmp_path / "o.db") as log:
        log.append([FIRST], NOW)
        with pytest.raises(OutcomeConflictError) as raised:
            log.append([SECOND, other], NOW)
        assert raised.value.place == 1 and log.read()["outcome_id"].tolist() == ["o1"]
        assert log.erase("outcomes", ["ann"]) == 1 and log.read().empty


def test_an_outcome_that_an_early_version_kept_with_blanks_around_its_ids_is_known_by_an_index(tmp_path: Path) -> None:
    early = replace(FIRST, outcome_id=" o1\t\u3000", customer_id="ann ", contact_id="m1 ")
    with OutcomeLog(tmp_path / "o.db") as log:
        log.append([early, SECOND], NOW)
        assert log.append([FIRST, SECOND], NOW) == ["known", "known"]
        with pytest.raises(OutcomeConflictError):
            log.append([replace(FIRST, outcome="refused")], NOW)
        (plan,) = log._connection.execute(f"EXPLAIN QUERY PLAN {_SAME}", ["o1"]).fetchall()
        assert "USING INDEX outcomes_by_bare_id" in plan[-1]
