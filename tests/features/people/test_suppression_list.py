"""Who was erased does not come back with the next export, and the list of them names nobody."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from configs.settings import Settings
from configs.workspace import Workspace
from features import ingest as module
from features.ingest import ingest
from features.people.suppression_list import (
    EMPTY,
    drop_suppressed,
    known_among,
    load_suppression_list,
    note_unfound,
    suppress,
)
from features.quality.check import ERASED_ROWS

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def erased_rows(tables: dict[str, Any]) -> dict[str, int]:
    return {name: frame.attrs.get(ERASED_ROWS, 0) for name, frame in tables.items()}


def test_the_list_holds_no_id_and_knows_them_all(workspace: Workspace) -> None:
    assert load_suppression_list(workspace) == EMPTY
    suppress(workspace, ["ann", "web-7"])
    suppress(workspace, ["web-7", "bob"])
    told = load_suppression_list(workspace)
    assert told.among(["ann", "bob", "web-7", "new"]) == {"ann", "bob", "web-7"}
    assert len(told.hashes) == 3
    stored = "".join(p.read_text() for p in workspace.erased.iterdir())
    assert not [i for i in ("ann", "bob", "web-7") if i in stored]
    assert (workspace.erased / "key").stat().st_mode & 0o077 == 0


def test_ids_under_which_nothing_was_found_are_on_the_list_and_kept_apart_until_something_is(
    workspace: Workspace,
) -> None:
    suppress(workspace, ["ann", "slip"])
    assert known_among(workspace, ["ann", "slip", "new"]) == {"ann", "slip"}
    note_unfound(workspace, ["slip"], ["ann"])
    assert known_among(workspace, ["ann", "slip", "new"]) == {"ann"}
    assert load_suppression_list(workspace).among(["ann", "slip"]) == {"ann", "slip"}
    assert not [path for path in workspace.erased.iterdir() if "slip" in path.read_text()]
    note_unfound(workspace, [], ["slip"])
    assert known_among(workspace, ["ann", "slip"]) == {"ann", "slip"}


def test_another_workspace_has_another_key(workspace: Workspace, tmp_path: Path) -> None:
    other = Workspace(tmp_path / "other")
    for place in (workspace, other):
        suppress(place, ["ann"])
    assert load_suppression_list(workspace).hashes.isdisjoint(load_suppression_list(other).hashes)


def test_rows_of_the_erased_are_left_out_and_counted(workspace: Workspace, shop: dict[str, pd.DataFrame]) -> None:
    suppress(workspace, ["ann"])
    rows = {name: frame.copy() for name, frame in shop.items()}
    kept = drop_suppressed({**shop, "orders": shop["orders"].assign(source_rows=2)}, load_suppression_list(workspace))
    assert erased_rows(kept) == {"customers": 1, "orders": 2 * 6}
    assert kept["orders"]["customer_id"].tolist() == ["bob"]
    for name, frame in shop.items():
        pd.testing.assert_frame_equal(frame, rows[name])
        assert frame.attrs == {}


def test_an_alias_that_an_export_brings_later_is_erased_with_its_person(
    workspace: Workspace, shop: dict[str, pd.DataFrame]
) -> None:
    suppress(workspace, ["ann"])
    links = pd.DataFrame({"customer_id": ["ann", "bob"], "alias": ["bob", "new"], "seen_at": ["2024-02-01"] * 2})
    kept = drop_suppressed({**shop, "identities": links}, load_suppression_list(workspace))
    assert all(frame.empty for frame in kept.values())
    assert erased_rows(kept) == {"customers": 3, "orders": 7, "identities": 2}


def test_numbers_are_the_same_ids_as_their_text(workspace: Workspace) -> None:
    suppress(workspace, ["7"])
    frame = pd.DataFrame({"customer_id": [7.0, 8.0]})
    assert erased_rows(drop_suppressed({"orders": frame}, load_suppression_list(workspace))) == {"orders": 1}


def test_a_broken_line_that_quotes_an_erased_id_is_left_out(workspace: Workspace) -> None:
    suppress(workspace, ["ann"])
    said = ["o.csv, row 3: 2 fields where the header has 4: 'o1;ann'", "o.csv, row 4: 2 fields: 'o2;anna'", None]
    frame = pd.DataFrame({"customer_id": [None, None, "bob"], "source_reason": said})
    kept = drop_suppressed({"orders": frame}, load_suppression_list(workspace))
    assert (kept["orders"].index.tolist(), erased_rows(kept)) == ([1, 2], {"orders": 1})


def test_the_report_of_the_next_ingest_adds_up_and_says_why(
    workspace: Workspace, settings: Settings, shop: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = settings.model_copy(update={"columns": settings.columns.model_copy(update={"attributes": ()})})
    plain = plain.model_copy(update={"columns": plain.columns.model_copy(update={"sensitive": ()})})
    source = type("Source", (), {"load": lambda options: shop, "source_fingerprint": lambda options: "x"})
    monkeypatch.setattr(module, "loader", lambda name: source)
    suppress(workspace, ["ann"])
    told = {t["name"]: t for t in ingest(plain, workspace, NOW)["tables"]}
    counts = [told["orders"][f"rows_{what}"] for what in ("read", "used", "quarantined", "erased")]
    assert counts == [7, 1, 0, 6]
    assert told["orders"]["reasons"] == {"the person was erased": 6}
    assert told["orders"]["valid_share"] == 1
    assert pd.read_parquet(workspace.tables / "customers.parquet")["customer_id"].tolist() == ["bob", "new"]
    assert "6 of erased persons" in (workspace.quality_report / "quality.html").read_text("utf-8")
