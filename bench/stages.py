"""How long each stage of the whole way takes, on real customers, each in a process of its own.

python bench/stages.py [--config completejourney] [--repeat 1] [--json stages.json]
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table
from table import write_records

ROOT = Path(__file__).parent.parent
STAGES = (("ingest",), ("features",), ("train", "churn"), ("train", "clv"), ("evaluate",), ("score",), ("monitor",))


def measure(config: str, repeat: int) -> list[dict[str, object]]:
    """Run every stage `repeat` times, each time in a new workspace. One record a stage and repetition."""
    records = []
    for number in range(repeat):
        with tempfile.TemporaryDirectory() as place:
            where = ["-c", config, "-w", place]
            named = [(" ".join(stage), stage) for stage in STAGES] + [("run again, nothing changed", ("run",))]
            records += [{"stage": name, "repetition": number} | run([*stage, *where]) for name, stage in named]
    return records


def run(arguments: list[str]) -> dict[str, float]:
    """Run one command; wall and processor seconds, and the largest memory of its process, MiB."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, str(ROOT / "staycast.py"), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        said = child.stderr.read().decode() if child.stderr else ""
        raise SystemExit(f"`staycast {' '.join(arguments)}` failed: {said}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_seconds": time.perf_counter() - start, "cpu_seconds": processor, "peak_mib": usage.ru_maxrss / 1024}


def median(records: list[dict[str, object]], stage: str, key: str) -> float:
    """The middle of a stage's repetitions."""
    return statistics.median(float(str(r[key])) for r in records if r["stage"] == stage)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="completejourney")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the records here")
    options = parser.parse_args()
    records = measure(options.config, options.repeat)
    title = f"{options.config}, {os.cpu_count()} cores, CPython {platform.python_version()}, medians"
    table = Table("stage", "wall s", "cpu s", "peak MiB", title=title)
    for name in dict.fromkeys(str(r["stage"]) for r in records):
        wall, cpu, peak = (median(records, name, key) for key in ("wall_seconds", "cpu_seconds", "peak_mib"))
        table.add_row(name, f"{wall:.1f}", f"{cpu:.1f}", f"{peak:,.0f}")
    Console().print(table)
    write_records(records, options.json)


if __name__ == "__main__":
    main()
