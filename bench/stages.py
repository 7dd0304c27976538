"""How long each stage of the whole way takes, on real customers, each in a process of its own.

    python bench/stages.py [--config completejourney] [--repeat 1] [--json stages.json]
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
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
            for stage in STAGES:
                records.append({"stage": " ".join(stage), "repetition": number} | run([*stage, "-c", config, "-w", place]))
            again = run(["run", "-c", config, "-w", place])
            records.append({"stage": "run again, nothing changed", "repetition": number} | again)
    return records


def run(arguments: list[str]) -> dict[str, float]:
    """Run one command; wall and processor seconds, and the largest memory of its process, MiB."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, str(ROOT / "staycast.py"), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"`staycast {' '.join(arguments)}` failed: {child.stderr.read().decode() if child.stderr else ''}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_seconds": time.perf_counter() - start, "cpu_seconds": processor, "peak_mib": usage.ru_maxrss / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="completejourney")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the records here")
    options = parser.parse_args()
    records = measure(options.config, options.repeat)
    table = Table("stage", "wall s", "cpu s", "peak MiB", title=f"{options.config}, {os.cpu_count()} cores, {platform.python_version()}")
    for name in dict.fromkeys(r["stage"] for r in records):
        own = [r for r in records if r["stage"] == name]
        middle = {k: sorted(float(r[k]) for r in own)[len(own) // 2] for k in ("wall_seconds", "cpu_seconds", "peak_mib")}
        table.add_row(str(name), f"{middle['wall_seconds']:.1f}", f"{middle['cpu_seconds']:.1f}", f"{middle['peak_mib']:,.0f}")
    Console().print(table)
    write_records(records, options.json)


if __name__ == "__main__":
    main()
