"""How fast a large CSV of orders is ingested, and with how much memory: check, quarantine and publication included.

    python bench/ingest.py [--megabytes 300 --megabytes 2000] [--amounts plain eur comma] [--json ingest.json]

The files are made in a temporary folder, of which about four times their size is needed, and removed afterwards. One
row in a thousand has something wrong with it. Every ingest is a process of its own; its memory is the largest that it
had resident.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from rich.console import Console
from rich.table import Table
from stages import run
from table import write_records

AMOUNTS = {"plain": "{:.2f}", "eur": "{:.2f} EUR", "comma": "{:,.2f}"}
CUSTOMERS, BLOCK, FREE_BYTES = 200_000, 500_000, 20e9
HEADER = "order_id,customer_id,ordered_at,amount,quantity,channel\n"


def make_orders(path: Path, megabytes: float, amounts: str, seed: int = 0) -> int:
    """Write a CSV of orders of about that size, in the order of time; its number of rows."""
    rng, rows, start = np.random.default_rng(seed), 0, pd.Timestamp("2022-01-01").value // 10**9
    span = 2 * 365 * 86_400
    width = len(_block(rng, amounts, 0, 1000, start, span)) / 1000
    total = int(megabytes * 1e6 / width)
    with path.open("w") as file:
        file.write(HEADER)
        while rows < total:
            size = min(BLOCK, total - rows)
            first, last = (start + span * place // total for place in (rows, rows + size))
            file.write(_block(rng, amounts, rows, size, first, last - first))
            rows += size
    return rows


def _block(rng: np.random.Generator, amounts: str, first: int, size: int, start: int, span: int) -> str:
    form = AMOUNTS[amounts].format
    texts = [form(a) for a in np.exp(rng.normal(3.5, 1.0, size))]
    texts = [f'"{t}"' for t in texts] if amounts == "comma" else texts
    for place in np.flatnonzero(rng.random(size) < 0.001):
        texts[place] = "??"
    times = pd.to_datetime(np.sort(rng.integers(start, start + max(span, 1), size)), unit="s")
    frame = pd.DataFrame(
        {
            "order_id": [f"A-{n:09}" for n in range(first, first + size)],
            "customer_id": [f"c{n:06}" for n in rng.integers(0, CUSTOMERS, size)],
            "ordered_at": times.strftime("%Y-%m-%d %H:%M:%S"),
            "amount": texts,
            "quantity": rng.integers(1, 9, size).astype(str),
            "channel": rng.choice(["web", "shop", "telephone"], size),
        }
    )
    return "\n".join(map(",".join, zip(*(frame[c].tolist() for c in frame), strict=True))) + "\n"


def measure(megabytes: float, amounts: str) -> dict[str, object]:
    """Make a file, ingest it, and say how that went."""
    if shutil.disk_usage(tempfile.gettempdir()).free < FREE_BYTES + 4e6 * megabytes:
        raise SystemExit(f"{tempfile.gettempdir()} has too little room for {megabytes:g} MB")
    with tempfile.TemporaryDirectory(prefix="staycast-bench-") as name:
        place = Path(name)
        rows = make_orders(place / "orders.csv", megabytes, amounts)
        ids = pd.Series([f"c{n:06}" for n in range(CUSTOMERS)], name="customer_id")
        ids.to_frame().assign(signed_up_at="2021-12-01").to_csv(place / "customers.csv", index=False)
        options = {n: {"path": str(place / f"{n}.csv")} for n in ("customers", "orders")}
        config = {
            "name": "bench",
            "currency": "EUR",
            "time_zone": "Europe/Berlin",
            "source": {"loader": "files", "options": options},
        }
        (place / "bench.yaml").write_text(yaml.safe_dump(config), "utf-8")
        took = run(["ingest", "-c", str(place / "bench.yaml"), "-w", str(place / "workspace")])
        size = (place / "orders.csv").stat().st_size / 1e6
    return {"megabytes": size, "amounts": amounts, "rows": rows, **took, "rows_a_second": rows / took["wall_seconds"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, action="append", help="size of the file; may come several times")
    parser.add_argument("--amounts", nargs="+", choices=AMOUNTS, default=["plain"], help="how amounts are written")
    parser.add_argument("--json", type=Path, help="write the records here")
    options = parser.parse_args()
    records = [measure(size, how) for size in options.megabytes or [300.0] for how in options.amounts]
    table = Table("MB", "amounts", "rows", "rows/s", "wall s", "CPU s", "peak MiB", title=f"{os.cpu_count()} cores")
    for r in records:
        figures = [r["megabytes"], r["rows"], r["rows_a_second"], r["wall_seconds"], r["cpu_seconds"], r["peak_mib"]]
        size, rows, *others = (f"{float(str(n)):,.0f}" for n in figures)
        table.add_row(size, str(r["amounts"]), rows, *others)
    Console().print(table)
    write_records(records, options.json)


if __name__ == "__main__":
    sys.exit(main())
