"""The keys of the service: whose they are, what they may do, and until when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from cli.screens.tables import make_table
from serving.access.keys import ApiKey

SHOWN_ONCE = "Keep it now: only its hash is stored, and it is not shown again."


def to_dict(keys: Iterable[ApiKey], now: datetime, secret: str | None) -> dict[str, Any]:
    """The keys as JSON can hold them, and a new key itself."""
    rows = [
        {
            "id": key.key_id,
            "name": key.name,
            "role": key.role,
            "state": key.state(now),
            "created_at": key.created_at.isoformat(timespec="seconds"),
            "expires_at": key.expires_at.isoformat(timespec="seconds") if key.expires_at else None,
            "rows": sorted(f"{attribute}={value}" for attribute, value in key.rows),
            "changes": [
                {"at": change.at.isoformat(timespec="seconds"), "what": change.what, "by": change.by}
                for change in key.changes
            ],
        }
        for key in keys
    ]
    return {"keys": rows, **({"key": secret} if secret else {})}


def keys_screen(result: Mapping[str, Any]) -> RenderableType:
    """A table of the keys; a new one below it, once."""
    table = make_table("Keys of the service", "name", "role", "sees", "state", "made", "ends", "id", "done")
    for key in result["keys"]:
        ends = (key["expires_at"] or "never")[:16]
        table.add_row(
            key["name"],
            key["role"],
            ", ".join(key["rows"]),
            key["state"],
            key["created_at"][:16],
            ends,
            key["id"],
            _done(key["changes"]),
        )
    if "key" not in result:
        return table
    return Group(table, Text(result["key"], style="bold", no_wrap=True, overflow="ignore"), Text(SHOWN_ONCE))


def _done(changes: Iterable[Mapping[str, str]]) -> str:
    """What was done to a key, and by whom.

    >>> _done([{"what": "made", "at": "2026-01-01T00:00:00+00:00", "by": "ada"}])
    'made 2026-01-01 by ada'
    """
    return "; ".join(f"{change['what']} {change['at'][:10]} by {change['by']}" for change in changes)
