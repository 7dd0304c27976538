"""The direction of the imports, and which module alone may talk to which library."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("configs", "features", "training", "serving", "monitoring", "cli")
HEAVY = {"feast", "mlflow", "evidently", "bentoml", "optuna", "lightgbm", "ibis", "matplotlib", "pandera"}


def imports(path: Path, top: bool = False) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    nodes = tree.body if top else list(ast.walk(tree))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def test_imports_follow_the_way_of_the_data() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_no_two_modules_import_one_another_in_a_circle() -> None:
    graph = grimp.build_graph(*LAYERS)
    TopologicalSorter({m: graph.find_modules_directly_imported_by(m) for m in graph.modules}).prepare()


def test_the_feature_repository_imports_only_the_schema() -> None:
    ours = {name for name in imports(ROOT / "feature_repo" / "definitions.py") if name.split(".")[0] in LAYERS}
    assert ours == {"features.schema"}
    assert [p.name for p in (ROOT / "feature_repo").glob("*.py")] == ["definitions.py"]


@pytest.mark.parametrize("package", LAYERS)
def test_nothing_imports_the_feature_repository_or_the_command_line(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        tops = {name.split(".")[0] for name in imports(path)}
        assert not tops & {"feature_repo", "staycast"}, path


def test_the_command_line_imports_what_is_heavy_only_inside_a_verb() -> None:
    top = {name.split(".")[0] for name in imports(ROOT / "staycast.py", top=True)}
    assert not top & HEAVY
    assert not top & {"features", "training", "serving", "monitoring"}


def test_every_module_has_a_test() -> None:
    tested = {p.stem.removeprefix("test_") for p in (ROOT / "tests").rglob("test_*.py")}
    elsewhere = {
        "column": "columns", "windows": "columns", "recency": "columns", "frequency": "columns", "spend": "columns",
        "trend": "columns", "regularity": "columns", "discount": "columns", "timing": "columns", "breadth": "columns",
        "engagement": "columns", "support": "columns", "campaign": "columns", "profile": "columns", "schema": "columns",
        "store": "parity", "engine": "build", "quality": "ingest", "files": "sources", "completejourney": "sources",
        "online_retail": "sources", "cdnow": "sources", "telco": "businesses",
        "registry": "lifecycle", "run": "lifecycle", "overview": "lifecycle", "pyfunc_model": "models",
        "check": "ingest", "contract_labels": "contract", "kinds": "contract", "standing": "decide",
        "errors": "settings", "activity": "columns", "season": "columns", "bundle": "models",
        "assemble": "lifecycle", "evaluate": "lifecycle", "tune": "models", "dataset": "models", "usable": "bad_input",
    }  # fmt: skip
    for package in LAYERS:
        for path in (ROOT / package).rglob("*.py"):
            if path.stem != "__init__":
                assert {path.stem, elsewhere.get(path.stem)} & tested, f"{path} has no test"
