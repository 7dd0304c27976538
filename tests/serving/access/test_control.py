"""A service is open until it has a key or a provider, and then asks everybody."""

from __future__ import annotations

import asyncio

import pytest

from configs.settings import Access
from configs.workspace import Workspace
from serving.access.control import ANONYMOUS, access_control
from serving.access.keys import ApiKeys
from serving.access.roles import Caller, NotAuthenticatedError


def control(workspace: Workspace, required: bool | None = None):
    return access_control(Access(required=required, requests_per_minute=60, tokens=None), workspace)


def test_without_a_key_everybody_may_and_with_one_all_are_asked(workspace: Workspace) -> None:
    opened = control(workspace)
    assert not opened.required() and asyncio.run(opened.caller()) == ANONYMOUS
    with ApiKeys(workspace.access_keys) as keys:
        _, secret = keys.create("crm", "crm")
    closed = control(workspace)
    assert closed.required()
    for headers in ([f"Bearer {secret}"], []), ([f"bearer  {secret} "], []), ([], [secret]):
        assert asyncio.run(closed.caller(*headers)) == Caller("crm", "crm", "key")
    for headers in ([], []), ([f"Basic {secret}"], []), ([], ["a.b.c"]):
        with pytest.raises(NotAuthenticatedError):
            asyncio.run(closed.caller(*headers))


def test_a_service_stays_closed_when_its_last_key_is_revoked(workspace: Workspace) -> None:
    with ApiKeys(workspace.access_keys) as keys:
        _, secret = keys.create("crm", "crm")
        keys.revoke("crm")
    closed = control(workspace)
    assert closed.required()
    for api_key in ([], [secret]):
        with pytest.raises(NotAuthenticatedError):
            asyncio.run(closed.caller([], api_key))


def test_who_need_not_say_who_asks_is_not_counted_and_a_key_is(workspace: Workspace) -> None:
    opened = access_control(Access(required=None, requests_per_minute=6, tokens=None), workspace)
    assert {opened.wait_seconds(ANONYMOUS) for _ in range(100)} == {0}
    key, token = Caller("crm", "crm", "key"), Caller("crm", "crm", "token")
    assert opened.wait_seconds(key) == 0 < opened.wait_seconds(key)
    assert opened.wait_seconds(token) == 0  # its subject is the name of the key, and it has its own rate


def test_what_is_set_counts_whether_there_are_keys_or_not(workspace: Workspace) -> None:
    with pytest.raises(NotAuthenticatedError, match="say who asks"):
        asyncio.run(control(workspace, required=True).caller())
    with ApiKeys(workspace.access_keys) as keys:
        keys.create("crm", "crm")
    assert asyncio.run(control(workspace, required=False).caller()) == ANONYMOUS


def test_a_wrong_key_is_refused_even_where_nobody_must_give_one(workspace: Workspace) -> None:
    with pytest.raises(NotAuthenticatedError, match="not known"):
        asyncio.run(control(workspace).caller([], ["staycast_a_b"]))
