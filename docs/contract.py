"""Write the contract that may not be broken, as the code has it now: ``make contract``, at a release."""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from serving.api.contract.changes import breaking_changes, published  # noqa: E402
from serving.api.schema.openapi import openapi_document  # noqa: E402

PUBLISHED = ROOT / "docs" / "contract-v1.json"
MAX_CUSTOMERS = 1000


def main() -> None:
    """Write it, unless what it was breaks: then say by what, and end with 1."""
    now = published(openapi_document(MAX_CUSTOMERS, "1"))
    if PUBLISHED.exists() and (broken := breaking_changes(json.loads(PUBLISHED.read_text("utf-8")), now)):
        sys.exit("\n".join([*broken, "these break callers of /v1: they need another version of the API"]))
    PUBLISHED.write_text(json.dumps(now, sort_keys=True, separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    main()
