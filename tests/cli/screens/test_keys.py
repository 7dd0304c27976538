"""The keys' screen tells whose they are, and a new key once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cli.screens.keys import SHOWN_ONCE, keys_screen, to_dict
from serving.access.keys import ApiKeys


def test_a_new_key_is_shown_whole_and_once(tmp_path: Path, printed) -> None:
    with ApiKeys(tmp_path / "access.db") as store:
        _, secret = store.create("crm of the shop", "crm", days=30)
        now = datetime.now(UTC)
        shown, later = to_dict(store.all(), now, secret), to_dict(store.all(), now, None)
    text = printed(keys_screen(shown))
    assert secret in text and SHOWN_ONCE in text and "crm of the shop crm valid" in text
    assert secret not in printed(keys_screen(later)) and "key" not in later and "hash" not in later["keys"][0]
