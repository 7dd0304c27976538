"""The recipes of docs/architecture.md hold: followed to the letter in a copy of the checkout, each does what it says.

What is added is read from the page's blocks, so that page and test cannot drift apart. A recipe that lacks one of its
blocks must fail: none is superfluous, and none is missing.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.forked import Forked

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
FOLDERS = ("configs", "features", "training", "serving", "monitoring", "cli")
FILES = ("pyproject.toml", "staycast.py")


@dataclass(frozen=True)
class Block:
    """A block of the page: a whole new file, or the lines of a diff."""

    kind: str
    path: str
    text: str

    def apply(self, checkout: Path) -> None:
        """Make the file, or add its lines between the ones that must be there."""
        path = checkout / self.path
        if self.kind != "diff":
            assert not path.exists(), f"{self.path} exists: show its change as a diff"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.text, "utf-8")
            return
        content = path.read_text("utf-8")
        for hunk in self.text.split("...\n"):
            lines = [(line[:1] or " ", line[1:]) for line in hunk.splitlines()]
            before = "".join(f"{text}\n" for sign, text in lines if sign in " -")
            after = "".join(f"{text}\n" for sign, text in lines if sign in " +")
            assert content.count(f"\n{before}") == 1, f"{self.path} holds these lines not once:\n{before}"
            content = content.replace(f"\n{before}", f"\n{after}")
        path.write_text(content, "utf-8")


def recipes() -> dict[str, list[Block]]:
    """The blocks of each recipe, by its title."""
    pattern = re.compile(r"^```(\w+)\n(?:# |\{# )(\S+)(?: #\})?\n(.*?)^```$", flags=re.M | re.S)
    chapters = [chapter.split("\n", 1) for chapter in PAGE.split("\n# Recipes\n")[1].split("\n## ")[1:]]
    return {title: [Block(*found) for found in pattern.findall(body)] for title, body in chapters}


RECIPES = recipes()
PROOFS = {
    "A column": """
import json
import pandas as pd
from configs.settings import merged_with_default
from configs.workspace import Workspace
from features.build import build
from features.ingest import ingest

source = {"loader": "synthetic", "options": {"customers": 40, "months": 2, "seed": 1}}
settings, place = merged_with_default({"name": "recipe", "source": source}, "recipe"), Workspace(Path("place"))
ingest(settings, place)
build(settings, place)
schema = json.loads((place.features / "schema.json").read_text())
column = next(feature for feature in schema["features"] if feature["name"] == "units_per_order")
assert column["doc"] == "Mean number of units of a purchase."
assert pd.read_parquet(place.features / "rows.parquet")["units_per_order"].gt(0).any()
""",
    "A source": """
from typer.testing import CliRunner
from staycast import app

Path("till.jsonl").write_text("".join(
    f'{{"receipt": "r{n}", "card": "c{n % 5}", "time": "2024-01-{n + 1:02}T10:00:00Z", "amount": {n}.5}}' + "\\n"
    for n in range(20)
))
Path("till.yaml").write_text("{name: till, source: {loader: receipts, options: {path: till.jsonl}}}")
ran = CliRunner().invoke(app, ["ingest", "--config", "till.yaml", "--workspace", "place", "--json"])
assert ran.exit_code == 0, ran.output
import pandas as pd
from configs.workspace import Workspace
assert len(pd.read_parquet(Workspace(Path("place")).tables / "orders.parquet")) == 20
assert len(pd.read_parquet(Workspace(Path("place")).tables / "customers.parquet")) == 5
""",
    "A model form": """
import numpy as np
import pandas as pd
from configs.settings import load
from configs.workspace import Workspace
from features.schema import Feature, FeatureSchema
from training.data.dataset import learn_encoder
from training.fit.folds import FoldData, blocks_of
from training.fit.search import search

schema = FeatureSchema((Feature("spend", "orders", "float64", ""),))
spend = np.random.default_rng(1).gamma(2.0, 50.0, 240)
rows = pd.DataFrame({"customer_id": [f"c{n}" for n in range(240)], "spend": spend, "label": spend * (spend > 60)})
encoder = learn_encoder(rows, schema)
fold = FoldData(encoder(rows[:120]), encoder(rows[120:]), encoder, blocks_of(rows["customer_id"][120:].tolist()))
tuning = load("test").tuning.model_copy(update={"trials": 2, "max_trees": 5})
result = search("clv", [fold], tuning, Workspace(Path("place")), "recipe")
tried = [trial for trial in result.study.trials if trial.user_attrs.get("form") == "poisson"]
assert tried and tried[0].value > 0 and tried[0].user_attrs["trees"]["value"] > 0
assert 0.1 <= tried[0].user_attrs["params"]["poisson_max_delta_step"] <= 2.0
""",
    "An endpoint": """
from types import SimpleNamespace
from starlette.testclient import TestClient
from configs.settings import load
from serving.access.roles import may
from serving.api.app import create_app

assert may("crm", "GET", "/v1/features")
serving = SimpleNamespace(columns=frozenset({"spend_90d", "orders_90d"}), versions={}, unserved={}, notices={})
champions = SimpleNamespace(current=lambda: serving)
client = TestClient(create_app(champions, None, None, load("default")))
answer = client.get("/v1/features")
assert (answer.status_code, answer.json()) == (200, {"features": ["orders_90d", "spend_90d"]})
document = client.get("/openapi.json").json()
schema = document["paths"]["/v1/features"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
name = schema["$ref"].rpartition("/")[2]
assert document["components"]["schemas"][name]["required"] == ["features"]
assert 'route="/v1/features"' in client.get("/metrics").text
""",
    "A report": """
from types import SimpleNamespace
import numpy as np
import pandas as pd
from configs.settings import merged_with_default
from configs.workspace import Workspace
from monitoring import run

rows = pd.DataFrame({"as_of": pd.Timestamp("2024-03-01", tz="UTC"), "spend_90d": [None, 2.0, 3.0, 4.0]})
bundle = SimpleNamespace(
    task="churn", features=("spend_90d",), reference=rows.assign(prediction=0.5), trained_through="2024-02-01",
    encode=lambda frame: frame, predict=lambda matrix: np.full(len(matrix), 0.5),
)
champions = SimpleNamespace(models=(SimpleNamespace(bundle=bundle, version="1"),), unserved={})
attached = []
for name, stand_in in {
    "Champions": SimpleNamespace(serving=lambda *_: champions),
    "population": lambda *_: rows,
    "drift_report": lambda *_: {},
    "model_registry": SimpleNamespace(get_version=lambda *_: SimpleNamespace(run_id="1")),
    "runs": SimpleNamespace(attach=lambda place, run_id, folder, path: attached.extend(folder.rglob("*.*"))),
}.items():
    assert hasattr(run, name)
    setattr(run, name, stand_in)
settings = merged_with_default({"clv": {"forecast": False}}, "recipe")
run.monitor(settings, Workspace(Path("place")))
assert sorted(path.name for path in attached) == ["missing.html", "missing.json"]
assert "<h1>Churn: missing values at 2024-03-01</h1>" in attached[0].with_suffix(".html").read_text()
""",
    "A setting": """
from configs.errors import ConfigError
from configs.settings import load

Path("own.yaml").write_text("monitoring: {drift_ignored_columns: [spend_90d]}")
assert load("own.yaml").monitoring.drift_ignored_columns == ("spend_90d",)
assert load("default").monitoring.drift_ignored_columns == ()
for wrong, said in (
    ("{drift_ignored_column: [spend_90d]}", "did you mean 'monitoring.drift_ignored_columns'?"),
    ("{drift_ignored_columns: 3}", "monitoring.drift_ignored_columns: Input should be a valid tuple (got 3)"),
):
    Path("own.yaml").write_text(f"monitoring: {wrong}")
    with pytest.raises(ConfigError) as error:
        load("own.yaml")
    assert said in str(error.value)

import pandas as pd
from monitoring.watch.drift import drift_table

rows = pd.DataFrame({"spend_90d": range(5), "orders_90d": range(5)})
Path("own.yaml").write_text("monitoring: {drift_ignored_columns: [spend_90d]}")
assert drift_table(rows, rows, rows.columns, load("own.yaml").monitoring)["column"].tolist() == ["orders_90d"]
""",
}


def page_tests(title: str) -> list[Block]:
    return [block for block in RECIPES[title] if block.path.startswith("tests/")]


def try_page_tests(title: str) -> str:
    """The line that runs the tests of a recipe; what tests share is loaded, which takes seconds, only for who asks."""
    tests = page_tests(title)
    shared = {
        name for test in tests for names in re.findall(r"def test_\w+\((.*)\)", test.text) for name in names.split(", ")
    }
    options = ["--import-mode=importlib", "-o", "addopts=", "-o", "filterwarnings=", "-p", "no:cacheprovider", "-q"]
    alone = [] if shared - {"tmp_path"} else ["--noconftest"]
    return f"assert pytest.main({[*options, *alone, *(test.path for test in tests)]}) == 0" if tests else ""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the code, compiled as it is, and of what tests share."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "tests").mkdir()
    shared = [path for path in (ROOT / "tests").glob("*.py") if not path.name.startswith("test_")]
    for path in (*shared, *(ROOT / name for name in FILES)):
        shutil.copy2(path, tmp_path / path.relative_to(ROOT))
    return tmp_path


@pytest.fixture(scope="module")
def forked() -> Iterator[Forked]:
    processes = Forked()
    yield processes
    processes.close()


def follow(
    title: str, checkout: Path, forked: Forked, without: Block | None = None
) -> subprocess.CompletedProcess[str]:
    """Follow a recipe, with or without one of its blocks, and try in a process of its own whether it works."""
    for block in RECIPES[title]:
        if block != without:
            block.apply(checkout)
    script = f"from pathlib import Path\nimport pytest\n{PROOFS[title]}\n{try_page_tests(title)}"
    return forked.run(script, checkout)


def test_every_recipe_of_the_page_is_tried() -> None:
    assert list(RECIPES) == list(PROOFS)
    assert PAGE.split("\n# Recipes\n")[1].count("```") == 2 * sum(map(len, RECIPES.values()))


@pytest.mark.slow
@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_does_what_it_says(title: str, checkout: Path, forked: Forked) -> None:
    done = follow(title, checkout, forked)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("title", "block"),
    [pytest.param(t, b, id=f"{t}-{b.path}") for t, blocks in RECIPES.items() for b in blocks if b.path[:6] != "tests/"],
)
def test_a_recipe_without_one_of_its_files_fails(title: str, block: Block, checkout: Path, forked: Forked) -> None:
    assert follow(title, checkout, forked, without=block).returncode == 1


@pytest.mark.parametrize("title", RECIPES)
def test_a_new_module_of_a_recipe_comes_with_its_test(title: str) -> None:
    made = [Path(b.path) for b in RECIPES[title] if b.kind == "python" and not b.path.startswith("tests/")]
    assert {str(Path("tests") / p.parent / f"test_{p.name}") for p in made} == {
        block.path for block in page_tests(title)
    }


@pytest.mark.slow
def test_the_code_of_all_recipes_together_is_in_the_style_of_the_house(checkout: Path) -> None:
    blocks = [block for blocks in RECIPES.values() for block in blocks]
    for block in blocks:
        block.apply(checkout)
    code = sorted({block.path for block in blocks if block.path.endswith(".py")})
    for program, *arguments in (["ruff", "format", "--check", *code], ["ruff", "check", *code], ["lint-imports"]):
        command = [str(Path(sys.executable).parent / program), *arguments]
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
