"""The recipe of a training, on one screen: read, plan, search, judge, refit, record, decide."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import matplotlib
import optuna
import pandas as pd
from matplotlib import pyplot
from optuna.trial import TrialState
from optuna.visualization import matplotlib as visualization

from configs.errors import ConfigError, NotEnoughDataError, RegistryError
from configs.fingerprint import code_fingerprint, files_fingerprint, fingerprint
from configs.settings import Settings
from configs.workspace import Workspace
from features.quality import quality_gate
from training.data import treatment
from training.data.dataset import Dataset, load, open_question, require_enough
from training.data.preconditions import require_learnable, require_values, usable_folds
from training.data.split import Moments, Plan, customer_parts, plan, plan_customers
from training.fit import assembly, search
from training.fit.assembly import Made
from training.fit.small_data import answers_from_prior, asked_of, make_few
from training.judge import campaign_backtest, examination, gates, plots
from training.judge.examination import Examination, examine
from training.model.bundle import Basis, Bundle, Task
from training.registry import model_registry, overrides

SAMPLE = 1000
Step = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Trained:
    """What a training came to; no examination: nothing has matured to judge by."""

    version: model_registry.Version
    examination: Examination | None
    decision: gates.Decision
    basis: Basis


def mark(settings: Settings, workspace: Workspace, task: Task) -> str:
    """A short hash of all that a model depends on: feature rows, settings and code."""
    code = code_fingerprint("training")
    rows = files_fingerprint(workspace.features.glob("*.parquet"))
    knobs = (settings.churn, settings.clv, settings.columns, settings.tuning.alone, settings.minimum, settings.gates)
    dumped = [k.model_dump(mode="json") for k in (*knobs, settings.leaks, settings.training, settings.decisions.stages)]
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
    NotReadyError, NotEnoughDataError, DataError
        No features were built yet, too little to learn from, or nothing that can be, see `training.data.preconditions`.
    LeakError
        A column predicts the label too well to be honest, and is not accepted.
    QualityError
        The newest load is not good enough, and nobody accepted it (`training.registry.overrides.accept_quality`).
    """
    quality_gate.require(workspace)
    step("read", 0, 1)
    data = labelled(settings, workspace, task)
    require_values(data)
    if not answers_from_prior(data, settings):
        require_enough(data, settings.minimum)
        overrides.check_leaks(settings, workspace, open_question(data), by, accepted_leaks, reason)
    made = make(settings, workspace, data, step, workspace)
    examined = None
    if made.parts and made.judged:
        examined = examine(made.judged, data.at(made.parts.holdout), data.at(made.parts.train_for_holdout), settings)
    decision = _judge(workspace, data, made, examined, settings)
    step("record", 0, 1)
    version = _record(settings, workspace, data, made, examined, decision)
    model_registry.settle(workspace, version, decision, by)
    step("record", 1, 1)
    return Trained(version, examined, decision, made.final.basis)


def make(
    settings: Settings,
    workspace: Workspace,
    data: Dataset,
    step: Step,
    search_in: Workspace,
    chosen: search.Found | None = None,
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
    if answers_from_prior(data, settings):
        return make_few(settings, data, _plan_if_any(data, settings), rows_of(workspace))
    parts, early, folds = _prepare(data, settings)
    name = mark(settings, workspace, data.task)
    found = chosen or search.search(
        data.task, folds, settings.tuning, search_in, name, lambda done, of: step("search", done, of)
    )
    step("fit", 0, 3)
    whole = treatment.treat(data, parts.final, settings)
    judged, final = _fit((early, whole), parts, folds, found, settings, workspace, step)
    return Made(parts, found, judged, final)


def _plan_if_any(data: Dataset, settings: Settings) -> Plan | None:
    try:
        return _share_out(data, settings)
    except NotEnoughDataError:
        return None


def _prepare(data: Dataset, settings: Settings) -> tuple[Plan, Dataset, list[search.FoldData]]:
    """What each moment is for, the rows as far as they were known before the hold-out, and the folds of the search."""
    parts = _share_out(data, settings)
    begins = min(parts.holdout) if data.by == "as_of" else None
    early = treatment.treat(data, parts.train_for_holdout, settings, begins)
    require_learnable(early, parts.train_for_holdout)
    parts = replace(parts, folds=usable_folds(early, parts.folds))
    return parts, early, assembly.fold_data(early, parts.folds, settings)


def search_along(settings: Settings, workspace: Workspace, task: Task, step: Step) -> dict[str, Any]:
    """Take part in the search for a model, or begin it; nothing is fitted, judged or recorded.

    It is the same search wherever code, feature files and settings are the same, and the storage is.

    Returns
    -------
    dict
        ``search`` its name, ``trials`` that have ended over all processes, ``of`` how many, ``least_loss``.

    Raises
    ------
    NotReadyError, NotEnoughDataError, DataError, QualityError
        As in `train`; there is no search where priors answer.
    """
    quality_gate.require(workspace)
    data = labelled(settings, workspace, task)
    require_values(data)
    require_enough(data, settings.minimum)
    _, _, folds = _prepare(data, settings)
    name = mark(settings, workspace, task)
    found = search.search(task, folds, settings.tuning, workspace, name, lambda done, of: step(task, done, of))
    ended = len(search.history(found.study))
    return {"search": name, "trials": ended, "of": settings.tuning.trials, "least_loss": found.least_loss}


def search_facts(found: search.Found) -> dict[str, Any]:
    """What a search came to, as JSON can hold it: the choice, its loss, and how many configurations were tried."""
    told = {name: value for name, value in vars(found).items() if name != "study"}
    return {**told, "form": found.form.name, "trials": len(search.history(found.study))}


def _fit(
    data: tuple[Dataset, Dataset],
    parts: Plan,
    folds: list[search.FoldData],
    found: search.Found,
    settings: Settings,
    workspace: Workspace,
    step: Step,
) -> tuple[Bundle, Bundle]:
    """The model that is judged on the hold-out, and the one that serves: refitted on all labelled moments.

    `data` comes twice: with what rows teach as far as was known before the hold-out, and as far as is known.
    """
    early, whole = data
    seed, people = settings.tuning.seed, population(workspace, whole.task, settings)
    earlier = assembly.out_of_time(folds, found, seed)
    step("fit", 1, 3)
    fitted, encoder = assembly.learn(early, parts.train_for_holdout, found, settings)
    begins = min(parts.holdout) if whole.by == "as_of" else None
    judged = assembly.assemble(fitted, encoder, earlier, early, parts.train_for_holdout, begins, people, settings)
    later = earlier + assembly.score_rows(fitted, encoder, whole.teaching(parts.holdout))
    step("fit", 2, 3)
    fitted, encoder = assembly.learn(whole, parts.final, found, settings)
    final = assembly.assemble(fitted, encoder, later, whole, parts.final, None, people, settings)
    step("fit", 3, 3)
    return judged, final


def rows_of(workspace: Workspace) -> pd.DataFrame:
    """Feature rows of all customers at all moments."""
    return pd.read_parquet(workspace.features / "rows.parquet")


def population(workspace: Workspace, task: Task, settings: Settings) -> pd.DataFrame:
    """Feature rows of the newest moment whose customers the model is asked about."""
    return asked_of(rows_of(workspace), task, settings)


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
    """The hold-out rows of a task, and the rows that may be learned from before them.

    Raises
    ------
    NotEnoughDataError
        Too few moments have matured to hold any out.
    """
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
    present = model_registry.champion(workspace, task)
    if present is None:
        raise RegistryError(f"{task}: there is no champion to examine; run `staycast train`, or see `staycast models`")
    whole, judged = model_registry.bundles(workspace, task, present.version)
    told: dict[str, Any] = {"version": f"{task}/{present.version}", "basis": whole.basis}
    if whole.basis == "prior" and _plan_if_any(labelled(settings, workspace, task), settings) is None:
        return told
    kept, train = holdout(settings, workspace, task)
    if settings.churn.kind == "label":
        _require_same_lot(judged, present, settings)
    elif _seen_until(judged) > kept["as_of"].min():
        raise RegistryError(
            f"{task}/{present.version} learned from outcomes up to {_seen_until(judged):%Y-%m-%d}, the hold-out starts "
            f"at {kept['as_of'].min():%Y-%m-%d}: features were rebuilt on less data; train again"
        )
    shown = examine(judged, kept, train, settings)
    told |= shown.to_dict()
    if task == "churn":
        played = campaign_backtest.exercise(settings, workspace, kept, shown.rows["forecast"].to_numpy())
        told["campaign"] = campaign_backtest.told(played, workspace, settings.currency)
    return told


def _require_same_lot(judged: Bundle, present: model_registry.Version, settings: Settings) -> None:
    if judged.info["holdout"] != assembly.holdout_rule(settings):
        raise RegistryError(
            f"{present.model}/{present.version} held out customers by '{judged.info['holdout']}', the settings say "
            f"'{assembly.holdout_rule(settings)}': it may have learned from those to be examined; train again"
        )


def _seen_until(bundle: Bundle) -> pd.Timestamp:
    """The end of the newest label window that a model learned from."""
    days = bundle.info.get("outcome_days", bundle.horizon_days)
    return pd.Timestamp(bundle.trained_through) + pd.Timedelta(days=days)


def _judge(
    workspace: Workspace, data: Dataset, made: Made, shown: Examination | None, settings: Settings
) -> gates.Decision:
    task = data.task
    if made.parts is None or shown is None or made.final.basis == "prior":
        present = model_registry.champion(workspace, task)
        before = (
            None if present is None else model_registry.bundles(workspace, task, present.version)[0].basis == "prior"
        )
        return gates.judge_few(_margins(shown), before, shown.baseline_name if shown else "")
    champion = _champion_metrics(workspace, data, made.parts, settings)
    if task == "churn":
        return gates.judge_churn(shown.model, shown.baseline, champion, settings.gates, shown.baseline_name)
    name, coverage = shown.baseline_name, settings.clv.coverage
    error: Literal["mae", "rmse"] = "rmse" if name == "present price" else "mae"
    groups = examination.coverage_groups(shown)
    return gates.judge_value(shown.model, shown.baseline, champion, settings.gates, coverage, name, error, groups)


def _margins(shown: Examination | None) -> dict[str, tuple[float, float]]:
    """Those that judge where little was learned; of two errors of a value the one that `gates.judge_value` takes."""
    if shown is None:
        return {}
    other = "mae" if shown.baseline_name == "present price" else "rmse"
    return {name: interval for name, interval in shown.margins.items() if name != other}


def _champion_metrics(workspace: Workspace, data: Dataset, parts: Plan, settings: Settings) -> dict[str, float] | None:
    """Metrics of the champion on the hold-out rows, by a model of it that has not seen them; None without one."""
    present = model_registry.champion(workspace, data.task)
    if present is None:
        return None
    whole, judged = model_registry.bundles(workspace, data.task, present.version)
    if data.by == "part":
        unseen = [judged] if judged.info.get("holdout") == assembly.holdout_rule(settings) else []
    else:
        unseen = [b for b in (whole, judged) if _seen_until(b) <= min(parts.holdout)]
    for bundle in unseen:
        if set(bundle.features) <= set(data.frame.columns):
            return examination.measure_rows(assembly.forecast(bundle, data.at(parts.holdout)), data.task)
    return None


def _record(
    settings: Settings,
    workspace: Workspace,
    data: Dataset,
    made: Made,
    shown: Examination | None,
    decision: gates.Decision,
) -> model_registry.Version:
    found, final = made.found, made.final
    tags = {"task": data.task, "schema_hash": data.schema.hash, "data_fingerprint": data.fingerprint}
    with model_registry.run(workspace, settings.name, f"{data.task}", tags) as run:
        run.params({**found.params, "form": found.form.name, **{f"trees_{k}": v for k, v in found.trees.items()}})
        run.params({"horizon_days": final.horizon_days, "features": len(final.features), "seed": settings.tuning.seed})
        run.params({"basis": final.basis, "full_season": final.full_season})
        run.document(settings.model_dump(mode="json"), "settings.json")
        run.document(search_facts(found), "search.json")
        if data.task == "churn" and made.judged:
            run.params(treatment.params(final.info, settings))
            run.document(treatment.told(made.judged.info, final.info, settings), "treatment.json")
        if shown and made.parts and made.judged:
            run.document(_describe(made.parts), "plan.json")
            _record_examination(run, settings, workspace, data.at(made.parts.holdout), (made.judged, made.found), shown)
        run.document(decision.to_dict(), "gates.json")
        run.trials(search.history(found.study))
        verdict = {"gates": "passed" if decision.promote else "failed"}
        if not decision.promote:
            verdict["gate_reasons"] = "; ".join(decision.reasons)
        example = data.frame if len(data.frame) else population(workspace, data.task, settings)
        return run.register(final, made.judged or final, example.head(5), {**tags, **verdict})


def _record_examination(
    run: model_registry.Run,
    settings: Settings,
    workspace: Workspace,
    rows: pd.DataFrame,
    made: tuple[Bundle, search.Found],
    shown: Examination,
) -> None:
    """What the judged model showed on the hold-out rows, at every horizon, and its figures."""
    judged, found = made
    searched = {} if found.loss is None else {"search_loss": found.loss}
    baseline = {f"baseline_{k}": v for k, v in shown.baseline.items()}
    horizons = {f"{name}_{days}_days": v for days, told in shown.horizons.items() for name, v in told.items()}
    run.metrics({**shown.model, **baseline, **horizons, **searched})
    run.document(shown.to_dict(), "evaluation.json")
    if judged.task == "churn":
        _record_campaign(run, settings, workspace, rows, shown)
    for path, figure in _figures(judged, shown, found.study, rows, settings).items():
        run.figure(figure, path)


def _record_campaign(
    run: model_registry.Run, settings: Settings, workspace: Workspace, rows: pd.DataFrame, shown: Examination
) -> None:
    """The profit curve of the planned campaign, if there is one."""
    played = campaign_backtest.exercise(settings, workspace, rows, shown.rows["forecast"].to_numpy())
    if played is None:
        return
    run.metrics(campaign_backtest.metrics(played))
    run.document(played.to_dict(), "campaign.json")
    run.figure(campaign_backtest.picture(played, settings.currency), "plots/profit.png")


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
    """Optuna's own figures: how the loss fell, and which parameters mattered; none where nothing was searched."""
    if not study.trials:
        return {}
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
