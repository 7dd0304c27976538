"""Write README's figures, its sample answer and its picture from a run: ``make readme``.

Between the marks ``<!-- figures -->`` and ``<!-- answer -->`` stands only what this script wrote; a test says when it
is stale (tests/test_docs.py).
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "images" / "gains.png"
STAYCAST = ROOT / ".venv" / "bin" / "staycast"
DIGITS = 4
WIDTH = 120
MOST_FEATURES = 2
CUT = 40  # characters of a text that stands in full elsewhere in the answer


def main() -> None:
    """Evaluate the champions of the demo, ask the service, and write what they say into README."""
    evaluation = json.loads(_run(STAYCAST, "evaluate", "--json"))
    text = README.read_text("utf-8")
    with subprocess.Popen([STAYCAST, "serve"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            answer = json.loads(_run(*shlex.split(next(re.finditer(r"^curl .*predictions.*$", text, re.M))[0])))
        finally:
            server.terminate()
    text = replaced(text, "figures", figures(evaluation))
    README.write_text(replaced(text, "answer", f"```json\n{sample(answer)}\n```"), "utf-8")
    sys.path.insert(0, str(ROOT))
    from configs.workspace import Workspace
    from training.model import catalog

    run_id = catalog.champion(Workspace(ROOT), "churn").run_id  # type: ignore[union-attr]
    shutil.copy(ROOT / "mlruns" / "artifacts" / run_id / "artifacts" / "plots" / "gains.png", PICTURE)


def replaced(text: str, mark: str, content: str) -> str:
    """The text with what stands between two marks replaced."""
    pattern = rf"(<!-- {mark} -->\n).*?(\n<!-- /{mark} -->)"
    return re.sub(pattern, lambda match: f"{match[1]}{content}{match[2]}", text, count=1, flags=re.S)


def between(text: str, mark: str) -> str:
    """What stands between two marks."""
    match = re.search(rf"<!-- {mark} -->\n(.*?)\n<!-- /{mark} -->", text, flags=re.S)
    assert match is not None, f"README has no mark '{mark}'"
    return match[1]


def figures(evaluation: Mapping[str, Any]) -> str:
    """The table of the main metrics beside the baselines."""
    churn, clv = evaluation["churn"], evaluation["clv"]
    rows = [
        (f"churn in 30 days, at {_dates(churn)}", "AUC", churn, "auc", "{:.3f}", ""),
        ("", "log loss", churn, "log_loss", "{:.3f}", ""),
        (f"value in 90 days, at {_dates(clv)}", "normalised Gini", clv, "normalised_gini", "{:.3f}", ""),
        ("", "mean absolute error", clv, "mae", "{:.1f}", " USD"),
    ]
    lines = ["| untouched months | | Staycast | plain baseline |", "| --- | --- | --- | --- |"]
    for what, name, result, key, shape, unit in rows:
        ours, baseline = (shape.format(result[side][key]) for side in ("model", "baseline"))
        rule = f" ({result['baseline_name']})" if what else ""
        lines.append(f"| {what} | {name} | **{ours}**{unit} | {baseline}{unit}{rule} |")
    return "\n".join(lines)


def _dates(result: Mapping[str, Any]) -> str:
    as_ofs = [date.fromisoformat(name[:10]) for name in result["as_ofs"]]
    return " and ".join(f"{as_of.day} {as_of:%B}" for as_of in sorted(as_ofs))


def sample(answer: Mapping[str, Any]) -> str:
    """One answer as JSON, digits and long texts shortened, small objects on one line."""
    short = shortened(answer)
    short["clv_reasons"] = [*short["clv_reasons"][:1], "..."]
    return "{\n" + ",\n".join(f'  "{key}": {_lines(value)}' for key, value in short.items()) + "\n}"


def shortened(value: Any) -> Any:
    """Numbers with four digits; long texts, those of all horizons, and long lists of columns cut short."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        cut: dict[str, Any] = {"text": f"{value['text'][:CUT].rstrip()}..."} if "full_season" in value else {}
        if isinstance(said := value.get("by_horizon_text"), str):
            cut["by_horizon_text"] = f"{said.partition(':')[0]}: ..."
        if "direction" in value and len(value["features"]) > MOST_FEATURES:
            cut["features"] = [*value["features"][:MOST_FEATURES], "..."]
        return {key: shortened(part) for key, part in {**value, **cut}.items()}
    return [shortened(part) for part in value] if isinstance(value, list) else value


def _lines(value: Any) -> str:
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) <= WIDTH - 24 or not isinstance(value, dict | list):
        return flat
    if isinstance(value, list):
        return "[\n" + ",\n".join(f"    {json.dumps(part, ensure_ascii=False)}" for part in value) + "\n  ]"
    parts = [f'    "{key}": {json.dumps(part, ensure_ascii=False)}' for key, part in value.items()]
    return "{\n" + ",\n".join(parts) + "\n  }"


def _run(*command: object) -> str:
    return subprocess.run([str(word) for word in command], cwd=ROOT, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
