"""The recipe of a training, on one screen: read, plan, search, judge, refit, record, decide."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import matplotlib
import optuna
import pandas as pd
from matplotlib import pyplot
from optuna.trial import TrialState
from optuna.visualization import matplotlib as visualization

from configs.errors import ConfigError, RegistryError
from configs.settings import Settings
from configs.workspace import Workspace, files_fingerprint, fingerprint
from features import quality_gate
from features.standing import is_customer
from training import acceptance, assemble, evaluate, exercise, gates, plots, registry, tune
from training.bundle import Bundle, Task
from training.dataset import Dataset, load, open_question, require_enough
from training.evaluate import Examination, examine
from training.split import Moments, Plan, customer_parts, plan, plan_customers

SAMPLE = 1000
Step = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Trained:
    """What a training came to."""

    version: registry.Version
    examination: Examination
    decision: gates.Decision


@dataclass(frozen=True)
class Made:
    """What search and fit came to: the plan, the choice, the model that was judged and the one that serves."""

    parts: Plan
    found: tune.Found
    judged: Bundle
    final: Bundle


def mark(settings: Settings, workspace: Workspace, task: Task) -> str:
    """A short hash of all that a model depends on: feature rows, settings and the code of this package."""
    code = files_fingerprint(Path(__file__).parent.glob("*.py"))
    rows = files_fingerprint(workspace.features.glob("*.parquet"))
    knobs = (settings.churn, settings.clv, settings.columns, settings.tuning, settings.minimum, settings.gates)
    dumped = [k.model_dump(mode="json") for k in (*knobs, settings.leaks)]
    return fingerprint(task, code, rows, dumped)


def train(
    settings: Settings,
    workspace: Workspace,
    task: Task,
    by: str,
    step: Step = lambda name, done, of: None,
    accepted_leaks: Sequence[str] = (),
    reason: str = "",
) -> Trained:
    """Learn, judge and register a model of one task, and make it the champion if it passes the gates.

    Parameters
    ----------
    settings
        Of the business.
    workspace
        Holds the features; gets the MLflow run, the version and the ledger's entry.
    task
        ``churn`` or ``clv``.
    by
        Who asked for it, for the ledger.
    step
        Told what is being done, and how far it is.
    accepted_leaks, reason
        Columns to learn from although they look as if they knew the label, and why; the ledger keeps both.

    Raises
    ------
    NotReadyError, NotEnoughDataError
        No features were built yet, or too little to learn from.
    LeakError
        A column predicts the label too well to be honest, and is not accepted.
    QualityError
        The newest load is not good enough, and nobody accepted it (`training.acceptance.accept_quality`).
    """
    quality_gate.require(workspace)
    step("read", 0, 1)
    data = labelled(settings, workspace, task)
    require_enough(data, settings.minimum)
    acceptance.check_leaks(settings, workspace, open_question(data), by, accepted_leaks, reason)
    made = make(settings, workspace, data, step, workspace)
    parts, found, judged, final = made.parts, made.found, made.judged, made.final
    examination = examine(judged, data.at(parts.holdout), data.at(parts.train_for_holdout), settings)
    decision = _judge(task, examination, _champion_metrics(workspace, data, parts, settings), settings)
    step("record", 0, 1)
    version = _record(settings, workspace, data, parts, found, (judged, final), examination, decision)
    registry.settle(workspace, version, decision, by)
    step("record", 1, 1)
    return Trained(version, examination, decision)


def make(
    settings: Settings,
    workspace: Workspace,
    data: Dataset,
    step: Step,
    search_in: Workspace,
    chosen: tune.Found | None = None,
) -> Made:
    """Search and fit: all of a training that data, settings and seed decide. Nothing is judged or recorded.

    Parameters
    ----------
    settings
        Of the business.
    workspace
        Holds the features.
    data
        The labelled rows of one task, see `labelled`.
    step
        Told what is being done, and how far it is.
    search_in
        Holds the search's storage: one that was cut off goes on there.
    chosen
        What a search chose already; None: search.
    """
    parts = _share_out(data, settings)
    folds = assemble.fold_data(data, parts.folds)
    name = mark(settings, workspace, data.task)
    found = chosen or tune.search(
        data.task, folds, settings.tuning, search_in, name, lambda done, of: step("search", done, of)
    )
    step("fit", 0, 3)
    judged, final = _fit(data, parts, folds, found, settings, workspace, step)
    return Made(parts, found, judged, final)


def search_facts(found: tune.Found) -> dict[str, Any]:
    """What a search came to, as JSON can hold it: the choice, its loss, and how many configurations were tried."""
    told = {name: value for name, value in vars(found).items() if name != "study"}
    return {**told, "form": found.form.name, "trials": len(tune.history(found.study))}


def _fit(
    data: Dataset,
    parts: Plan,
    folds: list[tune.FoldData],
    found: tune.Found,
    settings: Settings,
    workspace: Workspace,
    step: Step,
) -> tuple[Bundle, Bundle]:
    """The model that is judged on the hold-out, and the one that serves: refitted on all labelled moments."""
    seed, people = settings.tuning.seed, population(workspace, data.task, settings)
    earlier = assemble.out_of_time(folds, found, seed)
    step("fit", 1, 3)
    fitted, encoder = assemble.learn(data, parts.train_for_holdout, found, seed)
    begins = min(parts.holdout) if data.by == "as_of" else None
    judged = assemble.assemble(fitted, encoder, earlier, data, parts.train_for_holdout, begins, people, settings)
    later = earlier + assemble.score_rows(fitted, encoder, data.at(parts.holdout))
    step("fit", 2, 3)
    fitted, encoder = assemble.learn(data, parts.final, found, seed)
    final = assemble.assemble(fitted, encoder, later, data, parts.final, None, people, settings)
    step("fit", 3, 3)
    return judged, final


def population(workspace: Workspace, task: Task, settings: Settings) -> pd.DataFrame:
    """Feature rows of the newest moment whose customers the model is asked about."""
    rows = pd.read_parquet(workspace.features / "rows.parquet")
    newest = rows[rows["as_of"] == rows["as_of"].max()]
    if task == "churn":
        newest = newest[is_customer(newest, settings.churn)]
    return newest.reset_index(drop=True)


def labelled(settings: Settings, workspace: Workspace, task: Task) -> Dataset:
    """The labelled rows of a task; where the data has no dates, shared out by customer.

    Raises
    ------
    ConfigError
        This business has no such model.
    NotReadyError
        No features were built yet.
    """
    if task not in settings.tasks:
        why = "the data has no amounts with dates" if settings.churn.kind == "label" else "clv.forecast is false"
        raise ConfigError(f"{task}: there is no such model for '{settings.name}', {why}; train churn alone")
    data = load(workspace, task)
    if settings.churn.kind != "label":
        return data
    folds, frame = max(2, settings.tuning.folds), data.frame
    part = customer_parts(
        frame["customer_id"], frame["label"], settings.churn.holdout_share, folds, settings.tuning.seed
    )
    return replace(data, frame=frame.assign(part=part), by="part")


def _share_out(data: Dataset, settings: Settings) -> Plan:
    if data.by == "part":
        return plan_customers(max(2, settings.tuning.folds))
    held_out = getattr(settings, data.task).holdout_as_ofs
    return plan(data.as_ofs, settings.outcome_days(data.task), held_out, settings.tuning.folds)


def holdout(settings: Settings, workspace: Workspace, task: Task) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The hold-out rows of a task, and the rows that may be learned from before them."""
    data = labelled(settings, workspace, task)
    parts = _share_out(data, settings)
    return data.at(parts.holdout), data.at(parts.train_for_holdout)


def examine_champion(settings: Settings, workspace: Workspace, task: Task) -> dict[str, Any]:
    """Examine the champion's judged model on the hold-out rows of today's data, beside the baseline.

    Raises
    ------
    RegistryError
        There is no champion, or it has seen these rows.
    """
    present = registry.champion(workspace, task)
    if present is None:
        raise RegistryError(f"{task}: there is no champion to examine; run `staycast train`, or see `staycast models`")
    kept, train = holdout(settings, workspace, task)
    _, judged = registry.bundles(workspace, task, present.version)
    if settings.churn.kind == "label":
        _require_same_lot(judged, present, settings)
    elif _seen_until(judged) > kept["as_of"].min():
        raise RegistryError(
            f"{task}/{present.version} learned from outcomes up to {_seen_until(judged):%Y-%m-%d}, the hold-out starts "
            f"at {kept['as_of'].min():%Y-%m-%d}: features were rebuilt on less data; train again"
        )
    shown = examine(judged, kept, train, settings)
    told: dict[str, Any] = {"version": f"{task}/{present.version}", **shown.to_dict()}
    if task == "churn":
        played = exercise.exercise(settings, workspace, kept, shown.rows["forecast"].to_numpy())
        told["campaign"] = exercise.told(played, workspace, settings.currency)
    return told


def _require_same_lot(judged: Bundle, present: registry.Version, settings: Settings) -> None:
    if judged.info["holdout"] != assemble.holdout_rule(settings):
        raise RegistryError(
            f"{present.model}/{present.version} held out customers by '{judged.info['holdout']}', the settings say "
            f"'{assemble.holdout_rule(settings)}': it may have learned from those to be examined; train again"
        )


def _seen_until(bundle: Bundle) -> pd.Timestamp:
    """The end of the newest label window that a model learned from."""
    days = bundle.info.get("outcome_days", bundle.horizon_days)
    return pd.Timestamp(bundle.trained_through) + pd.Timedelta(days=days)


def _judge(task: Task, shown: Examination, champion: dict[str, float] | None, settings: Settings) -> gates.Decision:
    if task == "churn":
        return gates.judge_churn(shown.model, shown.baseline, champion, settings.gates, shown.baseline_name)
    name, coverage = shown.baseline_name, settings.clv.coverage
    error: Literal["mae", "rmse"] = "rmse" if name == "present price" else "mae"
    return gates.judge_value(shown.model, shown.baseline, champion, settings.gates, coverage, name, error)


def _champion_metrics(workspace: Workspace, data: Dataset, parts: Plan, settings: Settings) -> dict[str, float] | None:
    """Metrics of the champion on the hold-out rows, by a model of it that has not seen them; None without one."""
    present = registry.champion(workspace, data.task)
    if present is None:
        return None
    whole, judged = registry.bundles(workspace, data.task, present.version)
    if data.by == "part":
        unseen = [judged] if judged.info.get("holdout") == assemble.holdout_rule(settings) else []
    else:
        unseen = [b for b in (whole, judged) if _seen_until(b) <= min(parts.holdout)]
    for bundle in unseen:
        if set(bundle.features) <= set(data.frame.columns):
            return evaluate.measure_rows(assemble.forecast(bundle, data.at(parts.holdout)), data.task)
    return None


def _record(
    settings: Settings,
    workspace: Workspace,
    data: Dataset,
    parts: Plan,
    found: tune.Found,
    models: tuple[Bundle, Bundle],
    shown: Examination,
    decision: gates.Decision,
) -> registry.Version:
    judged, final = models
    tags = {"task": data.task, "schema_hash": data.schema.hash, "data_fingerprint": data.fingerprint}
    with registry.run(workspace, settings.name, f"{data.task}", tags) as run:
        run.params({**found.params, "form": found.form.name, **{f"trees_{k}": v for k, v in found.trees.items()}})
        run.params({"horizon_days": final.horizon_days, "features": len(final.features), "seed": settings.tuning.seed})
        run.metrics(
            {**shown.model, **{f"baseline_{k}": v for k, v in shown.baseline.items()}, "search_loss": found.loss}
        )
        run.document(shown.to_dict(), "evaluation.json")
        run.document(settings.model_dump(mode="json"), "settings.json")
        run.document(_describe(parts), "plan.json")
        run.document(search_facts(found), "search.json")
        if data.task == "churn":
            _record_campaign(run, settings, workspace, data.at(parts.holdout), shown)
        run.document(decision.to_dict(), "gates.json")
        for path, figure in _figures(judged, shown, found.study, data.at(parts.holdout), settings).items():
            run.figure(figure, path)
        run.trials(tune.history(found.study))
        verdict = {"gates": "passed" if decision.promote else "failed"}
        if not decision.promote:
            verdict["gate_reasons"] = "; ".join(decision.reasons)
        return run.register(final, judged, data.frame.head(5), {**tags, **verdict})


def _record_campaign(
    run: registry.Run, settings: Settings, workspace: Workspace, rows: pd.DataFrame, shown: Examination
) -> None:
    """The profit curve of the planned campaign, if there is one."""
    played = exercise.exercise(settings, workspace, rows, shown.rows["forecast"].to_numpy())
    if played is None:
        return
    run.metrics(exercise.metrics(played))
    run.document(played.to_dict(), "campaign.json")
    run.figure(exercise.picture(played, settings.currency), "plots/profit.png")


def _figures(
    judged: Bundle, shown: Examination, study: optuna.Study, rows: pd.DataFrame, settings: Settings
) -> dict[str, Any]:
    """Figures of the hold-out and of the search, by their place among the run's artifacts."""
    y, p, base = (shown.rows[c].to_numpy() for c in ("label", "forecast", "baseline"))
    sample = rows.sample(min(len(rows), SAMPLE), random_state=settings.tuning.seed)
    effects = judged.explain(judged.encode(sample)).effects
    unit = "probability points" if judged.task == "churn" else settings.currency
    figures = {"plots/shap_summary.png": plots.shap_summary(effects, sample[list(judged.features)], unit)}
    if judged.task == "churn":
        figures |= {
            "plots/calibration.png": plots.calibration(y, p),
            "plots/gains.png": plots.gains(y, p, base, shown.baseline_name.capitalize()),
        }
    else:
        low, high = shown.rows["low"].to_numpy(), shown.rows["high"].to_numpy()
        figures |= {
            "plots/decile_bars.png": plots.decile_bars(y, p, settings.currency),
            "plots/interval.png": plots.interval_plot(y, p, low, high, settings.clv.coverage, settings.currency),
        }
    return figures | _search_figures(study)


def _search_figures(study: optuna.Study) -> dict[str, Any]:
    """Optuna's own figures: how the loss fell, and which parameters mattered."""
    matplotlib.use("Agg")
    with warnings.catch_warnings(), matplotlib.rc_context():
        warnings.simplefilter("ignore")
        drawn: dict[str, Any] = {"search/history.png": visualization.plot_optimization_history(study).figure}
        if len(study.get_trials(states=[TrialState.COMPLETE])) > 1:
            drawn["search/importance.png"] = visualization.plot_param_importances(study).figure
    for figure in drawn.values():
        figure.set_layout_engine("constrained")
        pyplot.close(figure)
    return drawn


def _describe(parts: Plan) -> dict[str, Any]:
    def days(moments: Moments) -> list[str]:
        return [f"{m:%Y-%m-%d}" if isinstance(m, pd.Timestamp) else f"customers of part {m}" for m in moments]

    return {
        "folds": [{"train": days(f.train), "valid": days((f.valid,))[0]} for f in parts.folds],
        "train_for_holdout": days(parts.train_for_holdout),
        "holdout": days(parts.holdout),
        "final": days(parts.final),
    }
