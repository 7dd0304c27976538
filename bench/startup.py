"""How long a verb takes before it does anything: its help, the version, a list of models, and stages with nothing new.

python bench/startup.py [--config completejourney] [--workspace .] [--runs 5] [--json startup.json]

Each command runs several times in a process of its own; the least and the median count, as machines are noisy. Below
stands which imports take longest. The workspace must hold a finished `staycast run` of the configuration.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table
from table import write_records

ROOT = Path(__file__).parent.parent
STAYCAST = [sys.executable, str(ROOT / "staycast.py")]
QUICK = (["--version"], ["--help"], ["train", "--help"], ["serve", "--help"])
STAGES = (["models"], ["ingest"], ["features"], ["train"], ["score"], ["monitor"], ["run"])
IMPORTS = 12


def seconds(command: list[str], runs: int) -> list[float]:
    """Wall time of each of several runs."""
    taken = []
    for _ in range(runs):
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        taken.append(time.perf_counter() - begin)
    return taken


def imports(command: list[str]) -> list[tuple[float, str]]:
    """The modules that take longest to import, with all they import, in seconds."""
    done = subprocess.run([command[0], "-X", "importtime", *command[1:]], capture_output=True, text=True, cwd=ROOT)
    lines = re.findall(r"import time:\s+\d+ \|\s+(\d+) \|( +)(\S+)", done.stderr)
    tops = {name: int(micros) / 1e6 for micros, indent, name in lines if len(indent) <= 3}
    return sorted(((s, n) for n, s in tops.items()), reverse=True)[:IMPORTS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="completejourney")
    parser.add_argument("--workspace", default=".")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    where = ["--config", asked.config, "--workspace", asked.workspace]
    commands = [*QUICK, *([*verb, *where] for verb in STAGES)]
    table = Table("command", "least s", "median s", title=f"start-up, {asked.runs} runs each")
    records = []
    for command in track(commands, "timing"):
        taken = seconds([*STAYCAST, *command], asked.runs)
        records.append({"command": " ".join(command[:2]), "least": min(taken), "median": statistics.median(taken)})
        name = " ".join(word for word in command if word not in where)
        table.add_row(name, f"{min(taken):.2f}", f"{statistics.median(taken):.2f}")
    slowest = Table("seconds", "import", title="slowest imports of `staycast --help`")
    for taken_by, module in imports([*STAYCAST, "--help"]):
        slowest.add_row(f"{taken_by:.3f}", module)
    Console().print(table, slowest)
    write_records(records, asked.json)


if __name__ == "__main__":
    main()
