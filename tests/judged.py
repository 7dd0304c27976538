"""A load that was judged so, for tests that need no tables of it."""

from __future__ import annotations

import json
from typing import Any

from configs.loads import PROFILE, VERDICT
from configs.workspace import Workspace


def publish(workspace: Workspace, verdict: dict[str, Any], profile: dict[str, Any]) -> None:
    """Publish a load with this verdict (as `Verdict.to_dict` gives it, with its ``fingerprint``) and this profile."""
    with workspace.loads.staged() as load:
        (load / VERDICT).write_text(json.dumps(verdict))
        (load / PROFILE).write_text(json.dumps(profile))
        workspace.loads.publish(load, verdict["passed"], verdict["fingerprint"])
