"""The direction of the imports, which module alone may talk to which library, and the tree that the page shows."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

from features.sources.loaders import SOURCES

ROOT = Path(__file__).parent.parent
LAYERS = ("configs", "features", "training", "serving", "monitoring", "cli")
HEAVY = {"feast", "mlflow", "evidently", "bentoml", "optuna", "lightgbm", "ibis", "matplotlib", "pandera"}
MOST_MODULES = 12
OPEN_ENDED = ("features/columns", "features/sources")
LOADED_BY = {  # by name or by path, which no import statement shows
    **dict.fromkeys(SOURCES.values(), "features.sources.loaders"),
    "training.registry.pyfunc_model": "training.registry.runs",
}
TESTED_ELSEWHERE = {  # a module, or those of a folder without a test of their own -> the test that tries them
    "configs/errors.py": "tests/configs/test_settings.py",
    "features/columns": "tests/features/columns/test_column.py",
    "features/labels/eligibility.py": "tests/serving/answer/test_decide.py",
    "features/sources/data_sets": "tests/features/sources/test_loaders.py",
    "features/sources/staging.py": "tests/features/sources/test_files.py",
    "training/data/dataset.py": "tests/training/fit/test_boosters.py",
    "training/fit/recipe.py": "tests/test_wiring.py",
    "training/registry/pyfunc_model.py": "tests/training/fit/test_boosters.py",
    "training/registry/record.py": "tests/test_gate.py",
    "cli/screens/tables.py": "tests/cli/screens/test_data.py",
    "monitoring/report/evidently_drift.py": "tests/monitoring/report/test_drift_page.py",
    "monitoring/report/measures.py": "tests/monitoring/report/test_fairness_page.py",
    "monitoring/report/page.py": "tests/monitoring/report/test_fairness_page.py",
    "serving/api/endpoints.py": "tests/serving/api/test_app.py",
    "serving/api/interfaces.py": "tests/serving/api/test_app.py",
    "serving/api/json_response.py": "tests/serving/api/test_app.py",
    "serving/api/metrics.py": "tests/serving/api/test_app.py",
    "serving/api/problems.py": "tests/serving/api/schema/test_requests.py",
    "serving/api/schema/fields.py": "tests/serving/api/schema/test_requests.py",
    "serving/api/schema/parsing.py": "tests/serving/api/schema/test_requests.py",
}


def imports(path: Path, top: bool = False) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    nodes = tree.body if top else list(ast.walk(tree))
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


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
    names = {name for name in imports(ROOT / "feature_repo" / "definitions.py") if name.split(".")[0] in LAYERS}
    assert {".".join(name.split(".")[:2]) for name in names} == {"features.schema"}
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


def tree() -> list[str]:
    """The folders of the page's tree, as paths from the root, in its order."""
    shown = re.findall(r"^( *)(\w+)/ +\S", (ROOT / "docs" / "architecture.md").read_text("utf-8"), flags=re.M)
    folders: list[str] = []
    above: list[str] = []
    for indent, name in shown:
        above = [*above[: len(indent) // 2], name]
        folders.append("/".join(above))
    return folders


def test_the_tree_of_the_page_names_every_folder_and_no_other() -> None:
    ignored = (ROOT / ".gitignore").read_text("utf-8").replace("/", "").split()
    tops = {p.name for p in ROOT.iterdir() if p.is_dir() and p.name[0] != "." and p.name not in ignored}
    packages = {str(p.parent.relative_to(ROOT)) for top in LAYERS for p in (ROOT / top).rglob("__init__.py")}
    assert len(set(tree())) == len(tree())
    assert set(tree()) == tops | packages


@pytest.mark.parametrize("package", ["features", "training", "serving", "monitoring"])
def test_the_readme_lists_the_folders_of_each_package_in_the_order_of_the_tree(package: str) -> None:
    folders = [f.split("/")[1] for f in tree() if f.startswith(f"{package}/") and f.count("/") == 1]
    assert f"| `{package}/` | {', '.join(folders)} |" in (ROOT / "README.md").read_text("utf-8")


def test_each_line_of_the_tree_imports_only_lines_above_it() -> None:
    lines = {name.replace("/", "."): number for number, name in enumerate(tree())}

    def folder(module: str) -> str:
        return module if module in lines else module.rpartition(".")[0]

    graph = grimp.build_graph(*LAYERS)
    pairs = {(folder(m), folder(n)) for m in graph.modules for n in graph.find_modules_directly_imported_by(m)}
    apart = [(a, b) for a, b in pairs if not f"{a}.".startswith(f"{b}.") and not f"{b}.".startswith(f"{a}.")]
    assert [(a, b) for a, b in apart if lines[a] < lines[b]] == []


def test_a_folder_holds_about_a_dozen_modules_at_most() -> None:
    sizes = Counter(str(Path(module).parent) for module in modules())
    assert {f: n for f, n in sizes.items() if n > MOST_MODULES and not f.startswith(OPEN_ENDED)} == {}


def modules() -> list[str]:
    """Every module with something in it, as a path from the root."""
    paths = (path.relative_to(ROOT) for package in LAYERS for path in sorted((ROOT / package).rglob("*.py")))
    return [str(path) for path in paths if path.name != "__init__.py"]


def mirror(module: str) -> Path:
    """Where the test of a module belongs: of ``a/b/c.py`` in ``tests/a/b/test_c.py``."""
    path = Path(module)
    return ROOT / "tests" / path.parent / f"test_{path.name}"


@pytest.mark.parametrize("module", modules())
def test_every_module_has_a_test(module: str) -> None:
    elsewhere = {module, str(Path(module).parent)} & TESTED_ELSEWHERE.keys()
    assert mirror(module).is_file() or elsewhere, f"write {mirror(module).relative_to(ROOT)}"


@pytest.mark.parametrize(("place", "test"), TESTED_ELSEWHERE.items())
def test_what_is_tested_elsewhere_is_imported_there(place: str, test: str) -> None:
    tested = [m for m in modules() if place in (m, str(Path(m).parent)) and not mirror(m).is_file()]
    assert tested, f"{place} has a test of its own: take it out of the table"
    graph, direct = grimp.build_graph(*LAYERS), imports(ROOT / test)
    for name in (".".join(Path(module).with_suffix("").parts) for module in tested):
        importers = {name} | graph.find_modules_that_directly_import(name)
        assert direct & {*importers, LOADED_BY.get(name)}, f"{test} imports neither {name} nor what imports it"
