"""Evidently's page of distributions, with Staycast's verdicts. The only importer of Evidently.

Evidently's drift verdicts are replaced by Staycast's, so that one page never says two things. Its page writes names
and values of the data unescaped into a script, so they reach it without ``<``, ``>`` and ``&``, and its frame is cut
off from the page around it.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from monitoring.watch.drift import DRIFTED, NUMBER

MAX_ROWS = 20_000
MAX_LEVELS = 20
STATTEST = "staycast"
FRAME_SCRIPT = """<script>
try { window.localStorage; } catch (refused) {
  Object.defineProperty(window, "localStorage", { value: { getItem: () => null, setItem() {}, removeItem() {} } });
}
</script>
"""  # a closed frame has no storage

_decisions: ContextVar[Mapping[str, tuple[float, bool]]] = ContextVar("decisions")


def evidently_drift(reference: pd.DataFrame, current: pd.DataFrame, table: pd.DataFrame) -> tuple[str | None, Any]:
    """Evidently's page and results for the columns that it can draw; None and {} if there are none.

    Parameters
    ----------
    reference, current
        The rows that were compared.
    table
        From `monitoring.watch.drift.drift_table`.
    """
    drawable = table[(table["missing_reference"] < 1) & (table["missing_current"] < 1) & table["effect"].notna()]
    if drawable.empty:
        return None, {}
    _register()
    with _without_warnings():
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        names = drawable["column"].map(_script_safe)
        definition = DataDefinition(
            numerical_columns=names[drawable["kind"] == NUMBER].tolist(),
            categorical_columns=names[drawable["kind"] != NUMBER].tolist(),
        )
        before, after = _drawn_rows(reference, current, drawable)
        any_column = math.floor(1000 / len(drawable)) / 1000
        preset = DataDriftPreset(columns=names.tolist(), method=STATTEST, drift_share=any_column)
        effects, drifted = drawable["effect"].astype(float), drawable["verdict"] == DRIFTED
        token = _decisions.set(dict(zip(names, zip(effects, drifted, strict=True), strict=True)))
        try:
            run = Report([preset]).run(Dataset.from_pandas(after, definition), Dataset.from_pandas(before, definition))
            html = run.get_html_str(as_iframe=False).replace("<head>", f"<head>{FRAME_SCRIPT}", 1).strip()
            return html, json.loads(run.json())
        finally:
            _decisions.reset(token)


@cache
def evidently_version() -> str:
    """Of the installed Evidently."""
    with _without_warnings():
        import evidently
    return str(evidently.__version__)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Evidently, and what it brings along, warn of their own calls; that tells our readers nothing."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@cache
def _register() -> None:
    """Make Staycast's verdict a test that Evidently can be told to use, and have it draw no more than is shown.

    Only Evidently's server sends telemetry; it is not imported.
    """
    with _without_warnings():
        from evidently.legacy.calculations.data_drift import ColumnDataDriftMetrics
        from evidently.legacy.calculations.stattests.registry import StatTest, register_stattest
        from evidently.legacy.core import ColumnType
        from evidently.legacy.metrics.data_drift.data_drift_table import DataDriftTable, DataDriftTableRenderer
        from evidently.legacy.renderers.base_renderer import default_renderer
        from evidently.metrics.column_statistics import ValueDriftCalculation

    def decided(reference: pd.Series, current: pd.Series, kind: Any, threshold: float) -> tuple[float, bool]:
        """Score and verdict of a column, as they stand in the drift table."""
        return _decisions.get()[str(reference.name)]

    kinds = [ColumnType.Numerical, ColumnType.Categorical]
    register_stattest(StatTest(STATTEST, "Staycast", kinds, 0.0), decided)

    @default_renderer(wrap_type=DataDriftTable)
    class Distributions(DataDriftTableRenderer):
        """The table without each column's mean by position: customers stand in no order."""

        def _generate_column_params(self, name: str, data: ColumnDataDriftMetrics, *rest: Any) -> Any:
            return super()._generate_column_params(name, data.copy(update={"scatter": None}), *rest)

    ValueDriftCalculation._render = lambda *_: []  # the table shows each column; what is drawn here is thrown away


def _drawn_rows(
    reference: pd.DataFrame, current: pd.DataFrame, drawable: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """At most `MAX_ROWS` rows of each; numbers as floats, categories as harmless text, rare levels as one."""
    sides = [f if len(f) <= MAX_ROWS else f.sample(MAX_ROWS, random_state=0) for f in (reference, current)]
    columns: list[dict[str, Any]] = [{}, {}]
    for name, kind in drawable[["column", "kind"]].itertuples(index=False):
        texts = pd.concat([side[name].dropna().map(_script_safe) for side in sides])
        common = set(texts.value_counts().index[:MAX_LEVELS])
        for side, into in zip(sides, columns, strict=True):
            if kind == NUMBER:
                into[_script_safe(name)] = pd.to_numeric(side[name]).astype(float).to_numpy()
            else:
                level = side[name].map(_script_safe, na_action="ignore").astype(object)
                into[_script_safe(name)] = level.where(level.isin(common) | level.isna(), "all other").to_numpy(object)
    return pd.DataFrame(columns[0]), pd.DataFrame(columns[1])


def _script_safe(text: Any) -> str:
    """Text that cannot end the script it stands in, nor start a tag."""
    return str(text).translate(str.maketrans("<>&", "‹›+"))
