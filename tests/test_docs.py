"""Every command that the README prints is run, as it is printed, in the workspace that `make demo` leaves."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest
import yaml

from configs.settings import load
from configs.workspace import Workspace
from training.model import catalog

ROOT = Path(__file__).parent.parent
spec = importlib.util.spec_from_file_location("readme", ROOT / "docs" / "readme.py")
assert spec is not None and spec.loader is not None
readme = importlib.util.module_from_spec(spec)
spec.loader.exec_module(readme)
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = [
    line.split("  #")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, flags=re.S)
    for line in block.splitlines()
    if line.strip()
]
CALLS = [c for c in COMMANDS if c.startswith("curl")]
PLAIN = [c for c in COMMANDS if c.startswith(".venv/bin/staycast") and not c.endswith("serve")]


@pytest.fixture(scope="module")
def demo() -> Path:
    """The checkout after `make demo`."""
    marker = ROOT / "state" / "stages" / "monitor.json"
    if not marker.is_file():
        message = "run `make demo` first: this test runs the README's commands on what it leaves"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    return ROOT


def run(command: str, place: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(shlex.split(command), cwd=place, capture_output=True, text=True, check=False, timeout=280)


def test_every_command_of_the_readme_is_known_here() -> None:
    assert len(COMMANDS) == 2 + 1 + len(CALLS) + len(PLAIN)
    assert CALLS
    assert PLAIN


TARGETS = {"demo": "staycast run --config completejourney", "test": "-m pytest"}


@pytest.mark.parametrize(("target", "wanted"), TARGETS.items())
def test_a_make_target_of_the_readme_does_what_it_says(target: str, wanted: str) -> None:
    assert f"make {target}" in COMMANDS
    assert wanted in run(f"make --dry-run {target}", ROOT).stdout


@pytest.mark.slow
@pytest.mark.parametrize("command", PLAIN)
def test_a_command_of_the_readme_runs_as_printed(demo: Path, command: str) -> None:
    done = run(command, demo)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    if "--json" in command:
        json.loads(done.stdout)


@pytest.fixture(scope="module")
def served(demo: Path) -> Iterator[None]:
    """The service, started as the README says."""
    command = next(c for c in COMMANDS if c.endswith("serve"))
    nowhere = subprocess.DEVNULL
    with subprocess.Popen(shlex.split(command), cwd=demo, stdout=nowhere, stderr=nowhere) as server:
        yield
        server.send_signal(signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.parametrize("command", CALLS)
def test_a_call_of_the_readme_is_answered_as_printed(served: None, command: str) -> None:
    done = run(command, ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    shown = json.loads(re.search(r"```json\n(.*?)```", readme.between(README, "answer"), flags=re.S).group(1))  # type: ignore[union-attr]
    assert list(answer) == list(shown)
    assert answer["customer_id"] == shown["customer_id"]
    if searched_whole():
        for changing in ("scored_at", "prediction_id", "features", "model", "clv_reasons"):
            answer.pop(changing), shown.pop(changing)
        now, printed = flat(readme.shortened(answer)), flat(shown)
        assert list(now) == list(printed), "stale: run `make readme`"
        for place, value in now.items():
            is_number = isinstance(value, float) and isinstance(printed[place], float)
            wanted = pytest.approx(printed[place], rel=0.01) if is_number else printed[place]
            assert value == wanted, f"stale at {place}: run `make readme`"


@pytest.mark.slow
def test_figures_of_the_readme_are_those_of_the_demo(demo: Path) -> None:
    if not searched_whole():
        pytest.skip("a search of the demo was ended by its time limit, so other models came out")
    evaluation = json.loads(run(".venv/bin/staycast evaluate --json", demo).stdout)
    shown, now = readme.between(README, "figures"), readme.figures(evaluation)
    number = re.compile(r"\d+\.\d+")
    assert number.sub("#", shown) == number.sub("#", now), "stale: run `make readme`"
    figures = [float(n) for n in number.findall(now)]
    assert [float(n) for n in number.findall(shown)] == pytest.approx(figures, rel=0.005), "stale: run `make readme`"


def searched_whole() -> bool:
    """Whether no search of the demo was ended by its time limit: then its models are those of any machine."""
    wanted = load("completejourney").tuning.trials
    versions = [catalog.champion(Workspace(ROOT), task) for task in ("churn", "clv")]
    found = [json.loads(path.read_text("utf-8"))["trials"] for v in versions if v for path in search_of(v)]
    return found == [wanted, wanted]


def search_of(version: catalog.Version) -> list[Path]:
    return list((ROOT / "mlruns" / "artifacts" / version.run_id / "artifacts").glob("search.json"))


def flat(value: object, place: str = "") -> dict[str, object]:
    """Every number and text of an answer, by where it stands."""
    if isinstance(value, dict):
        return {k: v for name, part in value.items() for k, v in flat(part, f"{place}/{name}").items()}
    if isinstance(value, list):
        return {k: v for number, part in enumerate(value) for k, v in flat(part, f"{place}/{number}").items()}
    return {place: value}


def test_pictures_and_folders_that_the_readme_names_exist() -> None:
    for place in re.findall(r"\]\((docs/[^)]+)\)", README) + re.findall(r"`([a-z_]+/)`", README):
        assert (ROOT / place).exists() or place == "state/", place


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_files_that_a_page_names_exist(page: str) -> None:
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text("utf-8"), flags=re.M | re.S)
    named = re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|yaml|md|txt))`", text)
    linked = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    missing = [name for name in named if "a/b/" not in name and not (ROOT / name).exists()]
    missing += [name for name in linked if not ((ROOT / page).parent / name).exists()]
    assert missing == []


def recipe(target: str) -> list[str]:
    """The commands of a make target, without what it depends on."""
    lines = (ROOT / "Makefile").read_text("utf-8").split(f"\n{target}:")[1].splitlines()[1:]
    return [
        line.strip().replace("$(BIN)", ".venv/bin") for line in takewhile(lambda text: text.startswith("\t"), lines)
    ]


def test_the_hooks_before_a_commit_run_what_make_lint_runs() -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert [r["repo"] for r in repositories] == ["local"]
    assert [hook["entry"] for hook in repositories[0]["hooks"]] == recipe("lint")
    assert {hook["language"] for hook in repositories[0]["hooks"]} == {"system"}


def test_make_help_says_what_every_target_does() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), flags=re.M)
    lines = [line.split(maxsplit=2) for line in run("make --no-print-directory help", ROOT).stdout.splitlines()]
    assert phony
    assert [target for _, target, _ in lines] == phony.group(1).split()


def test_the_changelog_is_of_the_present_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    newest = re.search(r"^## \[(.*)\] - ", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.M)
    assert newest
    assert newest.group(1) == version
