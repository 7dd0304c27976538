"""Make a registered model again from the same data, settings and seed, and compare it byte by byte.

Nothing is taken from the first training but its settings, its seed and how many configurations its search tried: the
search starts afresh in a folder of its own, and neither registry nor ledger gets an entry (a workspace
that was moved has its artifact paths put right, as with every verb).
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from configs.errors import DataError, RegistryError
from configs.settings import Settings, merged_with_default
from configs.workspace import Workspace
from training.data.task_rows import labelled
from training.fit.boosters import Member, form_by_name
from training.fit.recipe import OnProgress, fit_prior, search_and_fit, search_facts
from training.fit.search import SearchResult, no_search
from training.model import catalog
from training.model.bundle import Task
from training.model.catalog import Version
from training.model.proof.manifest import sha256
from training.registry import model_registry
from training.registry.environment import differences, environment
from training.registry.runs import documents as documents_of

NO_LIMIT_SECONDS = 10**9
NEEDED_DOCUMENTS = ("settings", "search", "environment")


@dataclass(frozen=True)
class ComparedFile:
    """One file of a model.

    Attributes
    ----------
    file
        Its path among the version's files: ``bundle/churn.txt``.
    then, now
        SHA-256 of the registered one and of the one made again; None: there is none.
    """

    file: str
    then: str | None
    now: str | None

    @property
    def same(self) -> bool:
        """Whether every byte is the same."""
        return self.then == self.now


@dataclass(frozen=True)
class Reproduction:
    """What came of making a model again.

    Attributes
    ----------
    version, run_id
        The registered model: ``churn/3``, and the run that made it.
    data_fingerprint
        Of the features that both learned from.
    trials
        Configurations that the first search tried, and the second, if there was one.
    searched
        Whether the search was made again, too.
    files
        Every file of the model that serves and of the one that was judged.
    changed
        How code, interpreter, machine and packages differ from those of the first time.
    search_changed
        What the search chose otherwise than the first time.
    """

    version: str
    run_id: str
    data_fingerprint: str
    trials: int
    searched: bool
    files: tuple[ComparedFile, ...]
    changed: tuple[str, ...]
    search_changed: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Whether every file is the same."""
        return all(f.same for f in self.files)

    def to_dict(self) -> dict[str, Any]:
        """As values that JSON can hold."""
        files = [{**vars(f), "same": f.same} for f in self.files]
        return {**vars(self), "files": files, "identical": self.identical}


def reproduce(
    workspace: Workspace, name: str, on_progress: OnProgress = lambda what, done, of: None, given_search: bool = False
) -> Reproduction:
    """Make a registered model again and compare.

    Parameters
    ----------
    workspace
        Holds the registry, and the features that the model learned from.
    name
        ``churn/3``, or the id of the run that made it.
    on_progress
        Called with what is being done, and how far it is.
    given_search
        Take what the first search chose instead of searching again: proves the fit alone. For searches that were cut
        off and resumed, or ran in several processes, as their order of trials does not come again.

    Raises
    ------
    RegistryError
        There is no such model, or its run does not hold what is needed.
    DataError
        The workspace's features are not those that the model learned from.
    """
    version = model_registry.find_version(workspace, name)
    documents = documents_of(workspace, version.run_id)
    _require(documents, version)
    task: Task = "churn" if version.model == "churn" else "clv"
    recorded = merged_with_default(documents["settings"], f"run {version.run_id}")
    # As many trials as there were, in one process; a time limit may have ended the first search early.
    limits = {"trials": documents["search"]["trials"], "timeout_seconds": NO_LIMIT_SECONDS}
    settings = recorded.model_copy(update={"tuning": recorded.tuning.alone.model_copy(update=limits)})
    on_progress("read", 0, 1)
    data = labelled(settings, workspace, task)
    _require_same_data(version, data.fingerprint, settings, documents)
    with tempfile.TemporaryDirectory() as folder:
        if documents["search"]["loss"] is None:  # it may stand in for one that learned
            registered, _ = model_registry.bundles(workspace, task, version.version)
            models = fit_prior(settings, workspace, data, registered.info.get("why", ""))
        else:
            chosen = _recorded_search(documents["search"]) if given_search else None
            models = search_and_fit(settings, workspace, data, on_progress, Workspace(Path(folder)), chosen)
        models.final.save(Path(folder) / "files" / "bundle")
        (models.judged or models.final).save(Path(folder) / "files" / "judged")
        files = compare(catalog.files(workspace, version), Path(folder) / "files")
    return Reproduction(
        version=f"{version.model}/{version.version}",
        run_id=version.run_id,
        data_fingerprint=data.fingerprint,
        trials=documents["search"]["trials"],
        searched=not given_search,
        files=files,
        changed=tuple(differences(documents["environment"], environment())),
        search_changed=() if given_search else tuple(differences(documents["search"], search_facts(models.search))),
    )


def compare(then: Path, now: Path) -> tuple[ComparedFile, ...]:
    """Compare every file of two folders, and of their folders, by content."""
    sides = [{str(p.relative_to(top)): sha256(p) for p in top.rglob("*") if p.is_file()} for top in (then, now)]
    return tuple(ComparedFile(name, sides[0].get(name), sides[1].get(name)) for name in sorted({*sides[0], *sides[1]}))


def _recorded_search(search: dict[str, Any]) -> SearchResult:
    """What a search chose, from the record of its run; its trials are not in there."""
    facts = {name: value for name, value in search.items() if name != "trials"}
    expected = {field.name for field in fields(SearchResult)} - {"study"}
    if set(facts) != expected:
        raise RegistryError(
            f"the run's search.json holds {sorted(facts)}, this program needs {sorted(expected)}: it comes from "
            "another version; leave out --given-search, or train anew"
        )
    members = tuple(Member(form_by_name(m["form"]), m["params"], m["trees"]) for m in search["members"])
    return SearchResult(**{**facts, "members": members, "contest": tuple(search["contest"]), "study": no_search()})


def _require(documents: dict[str, Any], version: Version) -> None:
    missing = [f"{name}.json" for name in NEEDED_DOCUMENTS if name not in documents]
    if missing:
        raise RegistryError(
            f"{version.model}/{version.version}: its run {version.run_id} does not hold {', '.join(missing)}, without "
            "which it cannot be made again; it was trained by an older version: train anew"
        )


def _require_same_data(version: Version, present: str, settings: Settings, documents: dict[str, Any]) -> None:
    registered = version.tags.get("data_fingerprint", "unknown")
    if registered == present:
        return
    as_ofs = ", ".join(documents.get("plan", {}).get("final", [])) or "unknown"
    raise DataError(
        f"{version.model}/{version.version} learned from features with the fingerprint {registered}, this workspace "
        f"holds {present}: it cannot be made again from other data. It needs the features of '{settings.name}' (loader "
        f"'{settings.source.loader}', data until {settings.data_until or 'the newest event then'}) with the labelled "
        f"moments {as_ofs}: run `staycast ingest` and `staycast features` on the same export with the run's "
        "settings.json, or give the --workspace that still holds them"
    )
