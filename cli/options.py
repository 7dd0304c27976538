"""The options of the verbs: each stands once, with its help and its default."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.session import open_session
from configs.settings import Task

Config = Annotated[
    str,
    typer.Option("--config", "-c", envvar="STAYCAST_CONFIG", help="A YAML file, or the name of one in configs/."),
]
WorkspaceFolder = Annotated[
    Path, typer.Option("--workspace", "-w", envvar="STAYCAST_WORKSPACE", help="The folder that holds all state.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for programs.")]
Again = Annotated[bool, typer.Option("--again", help="Do it even if nothing has changed since the last time.")]
Model = Annotated[Task, typer.Argument(help="Which model.")]
By = Annotated[str, typer.Option("--by", help="Who decides; the ledger keeps it.", show_default="your user name")]
Reason = Annotated[str, typer.Option("--reason", help="Why; the ledger keeps it.")]
AcceptQuality = Annotated[
    bool, typer.Option("--accept-quality", help="Go on with data under its thresholds; give --reason, it is recorded.")
]
AcceptLeaks = Annotated[
    str, typer.Option("--accept-leaks", help="Columns, by comma, to learn from although they look like leaks.")
]
DEFAULT_CONFIG, DEFAULT_WORKSPACE = "completejourney", Path(".")
SHARED: dict[str, tuple[Any, Any]] = {
    "config": (Config, DEFAULT_CONFIG),
    "workspace": (WorkspaceFolder, DEFAULT_WORKSPACE),
    "as_json": (AsJson, False),
    "again": (Again, False),
    "by": (By, ""),
    "accept_quality": (AcceptQuality, False),
    "accept_leaks": (AcceptLeaks, ""),
    "reason": (Reason, ""),
}
EVERYWHERE = ("config", "workspace", "as_json")
Verb = Callable[..., None]


def verb(app: typer.Typer, *options: str, creates: bool = False) -> Callable[[Verb], Verb]:
    """Make a verb of a function of a session: on the command line, the options that make the session stand for it.

    Parameters
    ----------
    app
        Gets the verb.
    options
        Of the options in `SHARED`, those that the verb takes beside the ones of every verb.
    creates
        The verb may begin a new workspace. Any other finds one, or says that there is none.
    """
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in SHARED.items()
        if name in (*EVERYWHERE, *options)
    ]

    def register(body: Verb) -> Verb:
        _, *own = inspect.signature(body, eval_str=True).parameters.values()

        @wraps(body)
        def command(**values: Any) -> None:
            body(open_session(creates, **{p.name: values.pop(p.name) for p in shared}), **values)

        keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        command.__signature__ = inspect.Signature([*shared, *keywords])  # type: ignore[attr-defined]
        return app.command()(command)

    return register
