"""The page that takes a new user from own files to a first forecast, command by command, as printed."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from configs.errors import DataError
from configs.settings import load
from docs.tables import section as tables_section
from features.simulation.shop import generate
from features.sources.loaders import loader
from features.tables import MEANINGS
from tests.command_line import call

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "own-data.md").read_text("utf-8")
EXAMPLES = [b for b in re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.S) if "loader: files" in b]
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, flags=re.S) for line in block.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder, with exports as a German shop system writes them."""
    place, tables = tmp_path_factory.mktemp("user"), generate(600, 14, 7).tables
    (place / "exports").mkdir()
    orders = tables["orders"][["order_id", "customer_id", "ordered_at", "amount", "category"]]
    orders = orders.assign(
        ordered_at=orders["ordered_at"].dt.strftime("%d.%m.%Y %H:%M"),
        amount=orders["amount"].map(lambda value: f"{value:.2f}".replace(".", ",")),
    ).set_axis(["Invoice No", "Client", "Invoice Date", "Total", "Category"], axis=1)
    orders.to_csv(place / "exports" / "orders.csv", sep=";", index=False, encoding="utf-8-sig")
    customers = tables["customers"][["customer_id", "signed_up_at", "region", "age_group"]]
    customers = customers.set_axis(["Client", "Registered", "region", "age_group"], axis=1)
    customers.to_csv(place / "exports" / "customers.csv", index=False)
    return place


def run(command: str, place: Path) -> subprocess.CompletedProcess[str]:
    return call(*shlex.split(command)[1:], cwd=place)


@pytest.mark.slow
def test_the_page_leads_from_own_files_to_scores(folder: Path) -> None:
    commands = [c for c in COMMANDS if " serve " not in c]
    assert [c.split()[1] for c in commands] == ["init", "ingest", "run", "ingest", "features", "score", "erase"]
    for command in commands:
        done = run(command, folder)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    scores = pd.concat(pd.read_parquet(path) for path in (folder / "shop" / "state" / "scores").rglob("*.parquet"))
    assert len(scores) > 500  # all but who signed up after the newest moment
    assert scores["customer_id"].is_unique
    assert not {"c000042"} & set(scores["customer_id"])
    assert scores["probability"].notna().any()


def test_tables_and_columns_are_as_in_the_code() -> None:
    match = re.search(r"<!-- tables -->\n(.*?)\n<!-- /tables -->", PAGE, flags=re.S)
    assert match is not None and match[1] == tables_section(), "run `make tables`"


def test_every_kind_of_interaction_that_features_read_is_listed() -> None:
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "features" / "columns").glob("*.py"))
    read = set(re.findall(r'\b[a-z]\.kind == "(\w+)"', sources)) | set(
        re.findall(r'"(\w+)"', "".join(re.findall(r"kind\.isin\((.*?)\)", sources)))
    )
    assert {"complaint", "login"} <= read and read <= set(re.findall(r"`(\w+)`", MEANINGS["kind"]))


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_whole_example_is_a_valid_configuration(example: str, tmp_path: Path) -> None:
    (tmp_path / "example.yaml").write_text(example if "name:" in example else f"name: example\n{example}", "utf-8")
    settings = load(str(tmp_path / "example.yaml"))
    with pytest.raises(DataError, match="no file at"):  # the mapping is read before the files are looked for
        loader("files").load(settings.source.options)


def test_what_is_wrong_is_told_with_an_example_and_what_to_do(folder: Path) -> None:
    broken = folder / "broken"
    (broken / "exports").mkdir(parents=True)
    for path in (folder / "exports").iterdir():
        lines = path.read_text("utf-8-sig").splitlines()
        if path.name == "orders.csv":
            lines += [lines[1], "X1;nobody;01.02.2024 10:00;1,00;food", "X2;c000001;soon;1,00;food"]
        (broken / "exports" / path.name).write_text("\n".join(lines), "utf-8")
    init, check = COMMANDS[0], COMMANDS[1]
    assert run(init, broken).returncode == 0
    done = run(f"{check} --json", broken)
    assert done.returncode == 0, done.stderr
    for said in ("is no known customer", "occurs more than once", "'soon' is not a time", "export all customers"):
        assert said in done.stdout
    assert not (broken / "state").exists()


def test_a_configuration_that_is_there_is_not_replaced(folder: Path) -> None:
    (folder / "kept.yaml").write_text("name: kept\n")
    command = ".venv/bin/staycast init exports/orders.csv --out kept.yaml"
    done = run(command, folder)
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert (folder / "kept.yaml").read_text() == "name: kept\n"
