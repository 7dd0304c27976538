"""Write the tables of accuracy.md from the results that lie beside it: ``python docs/accuracy.py``.

`bench/accuracy.py --page` leaves one file a contest in ``docs/results/`` and calls this; so does `bench/robust.py`.
Between the marks ``<!-- NAME -->`` and ``<!-- /NAME -->`` stands only what this script wrote from that name's file;
where there is no file, what stands there stays. A test says when a table is stale (tests/docs/test_accuracy.py).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "accuracy.md"
DECIMALS = 4
HEADS = {"total_error": "total error", "mae": "MAE", "rmse": "RMSE"}


def write_result(page: Path, key: str, result: Mapping[str, Any]) -> None:
    """Keep the figures of a contest beside the page, and write them into its place.

    Raises
    ------
    ValueError
        The page has no place of this name; nothing is written.
    """
    text = page.read_text("utf-8")
    changed = replaced(text, key, section(result))
    path = results_of(page) / f"{key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(result), indent=1) + "\n", "utf-8")
    page.write_text(changed, "utf-8")


def results_of(page: Path) -> Path:
    """The folder of the results of a page."""
    return page.parent / "results"


def written(page: Path) -> str:
    """The page with the tables of all results in their places."""
    text = page.read_text("utf-8")
    for path in sorted(results_of(page).glob("*.json")):
        text = replaced(text, path.stem, section(json.loads(path.read_text("utf-8"))))
    return text


def replaced(text: str, key: str, content: str) -> str:
    """The text with what stands between the marks of a contest replaced."""
    pattern = rf"(<!-- {re.escape(key)} -->\n).*?(<!-- /{re.escape(key)} -->)"
    text, count = re.subn(pattern, lambda match: f"{match[1]}\n{content}\n\n{match[2]}", text, flags=re.S)
    if count != 1:
        raise ValueError(f"the page has {count} places <!-- {key} -->, expected one: add both marks where it belongs")
    return text


def section(result: Mapping[str, Any]) -> str:
    """Caption, table, coverage and calibration of one contest; or the lines of a summary (`bench/robust.py`)."""
    if "lines" in result:
        caption = f"`{result['command']}`, {result['day']}:"
        return "\n".join(
            [caption, "", "| | |", "| --- | --- |", *(f"| {a.strip()} | {b} |" for a, b in result["lines"])]
        )
    models = result["models"]
    parts = [_caption(result), _table(models, result["measures"])]
    covered = {k.removeprefix("coverage, "): v for k, v in models[0].items() if k.startswith("coverage, ")}
    if covered:
        parts.append("The intervals held: " + ", ".join(f"{name} {number(v, 3)}" for name, v in covered.items()) + ".")
    if result["calibration"]:
        parts.append(_calibration(result["calibration"]))
    return "\n\n".join(parts)


def _caption(result: Mapping[str, Any]) -> str:
    first, moments = result["models"][0], result["moments"]
    count = first.get("rows", first.get("customers"))
    text = f"{count:,} forecasts"
    if moments:
        text += f" at {len(moments)} moment{'s' if len(moments) > 1 else ''}, {moments[0]}"
        text += f" to {moments[-1]}" if len(moments) > 1 else ""
    return f"{text} (`{result['command']}`, {result['day']}):"


def _table(models: Sequence[Mapping[str, Any]], measures: Sequence[str]) -> str:
    lines = ["| | " + " | ".join(HEADS.get(m, m) for m in measures) + " |", "| --- |" + " --- |" * len(measures)]
    for model in models:
        name, cells = model["model"], []
        for measure in measures:
            interval = model.get(f"{measure}, ours less")
            cell = number(model[measure])
            cells.append(cell if interval is None else f"{cell} {_interval(interval)}")
        lines.append("| " + " | ".join([f"**{name}**" if name == "Staycast" else name, *cells]) + " |")
    return "\n".join(lines)


def _interval(interval: Sequence[float]) -> str:
    return "[" + " ".join(number(v, sign=True) for v in interval) + "]"


def _calibration(records: Sequence[Mapping[str, Any]]) -> str:
    """Expected calibration error at every horizon, and what a perfect model shows by chance."""
    errors = [
        f"{number(r['ECE'], 3)} at {r['horizon_days']} days ({number(r['ECE of a perfect model'], 3)})" for r in records
    ]
    return "Calibration error of Staycast, in brackets that of a perfect model by chance: " + ", ".join(errors) + "."


def number(value: float, decimals: int = DECIMALS, sign: bool = False) -> str:
    """A figure for people: few digits, no zero before the point.

    >>> [number(0.86472), number(169.43), number(-0.012, sign=True), number(float("nan"))]
    ['.8647', '169.4', '-.0120', '-']
    """
    if not math.isfinite(value):
        return "-"
    places = decimals if abs(value) < 1 else 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1
    shape = f"{'+' if sign else ''},.{places}f"
    return re.sub(r"^([+-]?)0\.", r"\1.", format(value, shape))


def main() -> None:
    """Write all tables anew from the results."""
    PAGE.write_text(written(PAGE), "utf-8")


if __name__ == "__main__":
    main()
