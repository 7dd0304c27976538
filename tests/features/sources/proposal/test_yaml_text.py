"""Whatever a name holds, it is read back from the YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.yaml_file import read_yaml
from features.sources.proposal.yaml_text import quoted


@pytest.mark.parametrize(
    "name",
    ["No", "on", "007", "1e3", "2024-01-01", "~", "a: b", "a #b", " x ", "'", '"', "\\", "{a}", "[b]", "&c", "*d", "!e",
     "%f","@g", "`h`", "客户", "a\tb", "a\nb", "\x1b[31m", "\u202ex", "\u2028", "\x85", "- x", "?", "😀", "null", "",
     "a b"],
)  # fmt: skip
def test_a_name_is_read_back_as_it_was(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"columns: {{order_id: {quoted(name)}}}  # why\n", "utf-8")
    assert read_yaml(tmp_path / "a.yaml") == {"columns": {"order_id": name}}
