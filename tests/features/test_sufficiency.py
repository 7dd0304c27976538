from __future__ import annotations

from configs.settings import Settings
from configs.workspace import Workspace
from features.engine import connect, read_tables
from features.sufficiency import check_requirements
from training.data.dataset import load, require_enough


def test_what_is_enough_here_is_enough_in_training(lived: Workspace, settings: Settings) -> None:
    told = check_requirements(read_tables(connect(), lived.tables), settings)
    assert all(row["met"] for row in told)
    require_enough(load(lived, "churn"), settings.minimum)
    left = next(row for row in told if row["what"] == "labels of customers who left")
    assert left["found"] == int((load(lived, "churn").frame["label"] == 1).sum())


def test_what_lacks_is_said_with_what_was_found(lived: Workspace, settings: Settings) -> None:
    strict = settings.model_copy(update={"minimum": settings.minimum.model_copy(update={"as_ofs": 99})})
    told = check_requirements(read_tables(connect(), lived.tables), strict)
    assert [(r["what"], r["needed"]) for r in told if not r["met"]] == [("labelled moments", 99)] * 2


def test_a_history_without_one_moment_has_nothing(lived: Workspace, settings: Settings) -> None:
    late = settings.model_copy(update={"as_of": settings.as_of.model_copy(update={"min_history_days": 3000})})
    assert all(row["found"] == 0 for row in check_requirements(read_tables(connect(), lived.tables), late))


def test_without_a_single_usable_order_there_is_nothing_to_learn_from(lived: Workspace, settings: Settings) -> None:
    tables = read_tables(connect(), lived.tables)
    empty = {**tables, "orders": tables["orders"].limit(0)}
    assert all(row["found"] == 0 and not row["met"] for row in check_requirements(empty, settings))
