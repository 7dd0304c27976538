"""Write the tables and their columns into own-data.md, from the code: ``make tables``.

Between the marks ``<!-- tables -->`` stands only what this script wrote; a test says when it is stale
(tests/test_own_data.py).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "own-data.md"
MARKS = r"(<!-- tables -->\n).*?(\n<!-- /tables -->)"


def main() -> None:
    """Write the section in its place."""
    text = PAGE.read_text("utf-8")
    PAGE.write_text(re.sub(MARKS, lambda match: f"{match[1]}{section()}{match[2]}", text, count=1, flags=re.S), "utf-8")


def section() -> str:
    """All tables, each with its columns; then what the kinds of columns hold."""
    sys.path.insert(0, str(ROOT))
    from features.tables import KINDS, REQUIRED, TABLES, meaning_of

    parts = []
    for table in TABLES.values():
        needed = [kind for kind, names in REQUIRED.items() if table.name in names]
        why = f" Needed for `churn.kind: {'` and `'.join(needed)}`." if needed else ""
        lines = [
            f"**{table.name}**: one row per {table.grain}.{why}",
            "",
            "| column | kind | | meaning |",
            "| --- | --- | --- | --- |",
        ]
        for f in table.fields:
            must = "required" if f.required else ""
            lines.append(f"| `{f.name}` | {f.kind} | {must} | {meaning_of(table.name, f.name)} |")
        parts.append("\n".join(lines))
    kinds = "\n".join(f"- **{kind}**: {what}" for kind, what in KINDS.items())
    return "\n\n".join([*parts, f"What the kinds hold:\n\n{kinds}"])


if __name__ == "__main__":
    main()
