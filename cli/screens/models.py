"""Of models: metrics beside baselines, verdicts, searches, versions, and a model trained again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from cli.screens.tables import TASK_TITLES, make_table, number

METRICS = {
    "churn": {
        "auc": ("AUC", "higher"),
        "average_precision": ("average precision", "higher"),
        "log_loss": ("log loss", "lower"),
        "brier": ("Brier score", "lower"),
        "expected_calibration_error": ("calibration error", "lower"),
        "debiased_calibration_error": ("calibration error less chance", "lower"),
        "top_decile_lift": ("lift in the top decile", "higher"),
        "empc": ("EMPC (profit a customer)", "higher"),
    },
    "clv": {
        "total_error": ("total error", "near 0"),
        "mae": ("mean absolute error", "lower"),
        "rmse": ("root mean squared error", "lower"),
        "spearman": ("Spearman", "higher"),
        "normalised_gini": ("normalised Gini", "higher"),
        "decile_calibration_error": ("decile calibration error", "lower"),
        "coverage": ("interval coverage", "as promised"),
        "share_below_q10": ("outcomes below the 10 % quantile", "at most 0.1"),
        "share_up_to_q10": ("outcomes up to the 10 % quantile", "at least 0.1"),
        "share_below_q50": ("outcomes below the median", "at most 0.5"),
        "share_up_to_q50": ("outcomes up to the median", "at least 0.5"),
        "share_below_q90": ("outcomes below the 90 % quantile", "at most 0.9"),
        "share_up_to_q90": ("outcomes up to the 90 % quantile", "at least 0.9"),
    },
}
SIGNS = {"passed": ("  ✓ ", "green"), "failed": ("  ✗ ", "red"), "cannot tell": ("  ? ", "yellow")}


def training_screen(result: Mapping[str, Any]) -> Group:
    """Hold-out metrics of each model beside its baseline, and what the gates said."""
    return Group(*[part for task, examination in result.items() for part in _examination(task, examination)])


def search_screen(result: Mapping[str, Any]) -> Group:
    """How far the search for each model is, over all processes that take part."""
    lines = [f"{TASK_TITLES[t]}: {s['trials']} of {s['of']} trials in search {s['search']}" for t, s in result.items()]
    return Group(*lines)


ENDED = "the release {} ended with it: the champion that it ran beside serves no longer"
LITTLE_HISTORY = "champion_had_no_more"  # a check of `training.judge.gates.judge_small_data` alone
UNJUDGED = "nothing has matured to judge it by"
LONGER = (
    "moments",
    "customers",
    "expected",
    "came",
    "total error",
    "by length alone",
    "largest at a moment",
    "coverage",
)


def rolling_screen(result: Mapping[str, Any]) -> Group:
    """What each model of its own time showed at several dates, and over all of them with its interval."""
    return Group(*[part for task, summary in result.items() for part in _rolling(task, summary)])


def _rolling(task: str, summary: Mapping[str, Any]) -> tuple[Any, ...]:
    as_ofs = summary["as_ofs"]
    title = f"{TASK_TITLES[task]}: at each moment the whole recipe, as if that were today"
    table = make_table(title, "metric", *as_ofs, "all", summary["baseline_name"])
    for key, (name, _) in METRICS[task].items():
        by_date = [number(metrics.get(key)) for metrics in as_ofs.values()]
        table.add_row(name, *by_date, number(summary["model"].get(key)), number(summary["baseline"].get(key)))
    for days, metrics in summary["horizons"].items():
        error = number(metrics.get("expected_calibration_error"))
        table.add_row(f"calibration error, {days} days", *[""] * len(as_ofs), error, "")
    differences = "; ".join(
        f"{METRICS[task][key][0]} {low:+.4g} to {high:+.4g}"
        for key, (low, high) in summary["model_less_baseline_95"].items()
        if key in METRICS[task]
    )
    notes = [f"  model less {summary['baseline_name']}, 95 %: {differences}"]
    if summary["by_customer"]:
        notes.append(f"  tuned by groups of customers, the past being too short: {', '.join(summary['by_customer'])}")
    if summary["from_prior"]:
        notes.append(f"  answered from a prior, as there was too little for trees: {', '.join(summary['from_prior'])}")
    return table, Text("\n".join(notes) + "\n")


def _examination(task: str, result: Mapping[str, Any]) -> tuple[Any, ...]:
    if why := result.get("untrained") or result.get("unserved"):
        what = "could not be trained" if "untrained" in result else "nothing to examine"
        return (Text.assemble((f"{TASK_TITLES[task]}: {what}: ", "red"), f"{why}\n"),)
    campaign = result.get("campaign")
    table = () if campaign is None else (_campaign(campaign),)
    basis: tuple[Text, ...] = (Text(f"  basis: {result['basis']}"),) if result.get("basis", "model") != "model" else ()
    basis += _left_out(result)
    if "model" not in result:
        return (
            Text(f"{TASK_TITLES[task]}: {result['version']}, {result.get('unjudged', UNJUDGED)}"),
            *basis,
            _verdict(result),
        )
    returns = () if not result.get("reactivation") else (_returns(result["reactivation"]),)
    longer = () if not result.get("longer") else (_longer(result["longer"]), *_doubts(result["longer"]))
    return (_metrics(task, result), *returns, *longer, *basis, *table, _verdict(result))


def champion_screen(result: Mapping[str, Any], since: str) -> str:
    """Which version serves, ``now`` or ``again``, and the release that ended with it."""
    ended = f"\n{ENDED.format(result['ended_release'])}" if result["ended_release"] else ""
    return f"{result['model']}/{result['version']} is the champion {since}{ended}"


def _left_out(result: Mapping[str, Any]) -> tuple[Text, ...]:
    """The horizons of churn of which a model tells nothing, the figures that could not be drawn, and why."""
    horizons = result.get("horizons_left_out", {}).items()
    not_drawn = (Text(f"  not drawn: {figures}"),) if (figures := result.get("figures_left_out")) else ()
    return (*(Text(f"  nothing is told within {days} days: {why}") for days, why in horizons), *not_drawn)


def _returns(horizons: Mapping[str, Mapping[str, Any]]) -> Table:
    """How the chance of return came true among lapsed customers, by horizon."""
    names = {"customers": "customers", "mean_probability": "expected", "share_returned": "returned", "auc": "AUC"}
    names |= {"log_loss": "log loss", "base_log_loss": "of the past share"}
    table = make_table("Return of lapsed customers at the same moments", "days", *names.values())
    for days, figures in horizons.items():
        table.add_row(days, f"{figures['customers']:,.0f}", *(number(figures[name]) for name in list(names)[1:]))
    return table


def _longer(horizons: Mapping[str, Any]) -> Table | Text:
    """How value within longer horizons came true at past moments, by horizon."""
    if "left_out" in horizons:
        return Text(f"  no value within longer horizons: {horizons['left_out']}")
    table = make_table("Value within longer horizons, at past moments", "days", *LONGER)
    for days, figures in horizons.items():
        if not figures["moments"]:
            table.add_row(days, "none yet", *[""] * (len(LONGER) - 1))
            continue
        names = ("total_error", "total_error_by_length", "largest_error_at_a_moment")
        errors = (_share(figures.get(name), "+.1%") for name in names)
        counts = (f"{figures[name]:,.0f}" for name in ("moments", "customers", "expected", "came"))
        table.add_row(days, *counts, *errors, _share(figures["coverage"], ".1%"))
    return table


def _doubts(horizons: Mapping[str, Any]) -> tuple[Text, ...]:
    """The longer horizons whose interval past moments do not bear out, and why."""
    told = {days: figures["why"] for days, figures in horizons.items() if days != "left_out" and "why" in figures}
    return tuple(Text(f"  ? value within {days} days is unexamined: {why}", "yellow") for days, why in told.items())


def _share(value: float | None, form: str) -> str:
    """A share for people; nothing where it could not be measured."""
    return "" if value is None else f"{value:{form}}"


def _campaign(campaign: Mapping[str, Any]) -> Table:
    """What a campaign would have brought on the hold-out, by whom it contacts."""
    break_even = campaign["break_even_probability"]
    edge = "never" if break_even is None else f"{break_even:.0%}"
    of = f"the mean of {campaign['moments']} moments; " if campaign["moments"] > 1 else ""
    value = f"value from {campaign['value_from']}; break-even at its mean: {edge}"
    may_come = f"{campaign['expected_low']:z,.0f} to {campaign['expected_high']:z,.0f}"
    title = f"Campaign on the same customers ({of}{value}; of the best list may come, with 90 %: {may_come})"
    table = make_table(title, "contact", "customers", "expected", "came", "95 %")
    for policy in campaign["policies"]:
        numbers = (f"{policy[k]:z,.0f}" for k in ("contacted", "expected", "realised"))
        table.add_row(policy["rule"], *numbers, f"{policy['low']:z,.0f} to {policy['high']:z,.0f}")
    return table


def _metrics(task: str, result: Mapping[str, Any]) -> Table:
    as_ofs = ", ".join(as_of[:10] for as_of in result["as_ofs"])
    count = result.get("customers")
    of = "" if count is None else f"{count:,} customer{'' if count == 1 else 's'}"
    at_moments = f"{of} at the untouched moments {as_ofs}" if of else f"the untouched moments {as_ofs}"
    by_lot = f"{of or 'customers'} held out; no time order was possible"
    held_out = by_lot if result["note"] else at_moments
    title = f"{TASK_TITLES[task]}: {result['version']} on {held_out}"
    table = make_table(title, "metric", "model", result["baseline_name"], "better is")
    for key, (name, better) in METRICS[task].items():
        table.add_row(name, number(result["model"].get(key)), number(result["baseline"].get(key)), better)
    return table


def _verdict(result: Mapping[str, Any]) -> Text:
    """What each gate said, what follows, what answers in place of a refused model, and the release that ended."""
    if "promote" not in result:
        return Text()
    lines = _judged(result)
    if result.get("ended_release"):
        lines.append(f"  {ENDED.format(result['ended_release'])}\n", "yellow")
    return lines


def _judged(result: Mapping[str, Any]) -> Text:
    """What each gate said, what follows, and what answers in place of a refused model."""
    lines = Text()
    for check in result["checks"]:
        lines.append(*SIGNS[check.get("verdict", "passed" if check["passed"] else "failed")])
        lines.append(check["text"] + "\n")
    if all(check["passed"] for check in result["checks"]):
        doubt = sum(check.get("verdict") == "cannot tell" for check in result["checks"])
        told = f", {doubt} of {len(result['checks'])} as the data cannot tell" if doubt else ""
        return lines.append(f"  passed every gate{told}{_by(result)}: champion\n", "green")
    if result["promote"]:
        return lines.append("  did not pass every gate, and serves as nothing else could answer\n", "yellow")
    lines.append("  not promoted\n", "red")
    if stand_in := result.get("stand_in"):
        serves = "answers in its place, as no model that learned serves" if stand_in["promote"] else "was refused, too"
        lines.append(f"  {stand_in['version']}, a prior alone, {serves}: {'; '.join(stand_in['reasons'])}\n", "yellow")
        for left_out in _left_out(stand_in):
            lines.append(left_out).append("\n")
    return lines


def _by(result: Mapping[str, Any]) -> str:
    """What the verdict on a prior rests on: the rules for little history, or the contest that trees did not win."""
    if any(check.get("name") == LITTLE_HISTORY for check in result["checks"]):
        return ", by the rules for little history"
    return ", a prior that trees did not beat on past months" if result.get("basis") == "prior" else ""


def reproduction_screen(result: Mapping[str, Any]) -> Group:
    """Every file of a model beside the one of its reproduction, and what else has changed since."""
    table = make_table(f"{result['version']} made again: SHA-256", "file", "registered", "made again", "")
    for file in result["files"]:
        verdict = Text("same", style="green") if file["same"] else Text("differs", style="red")
        table.add_row(file["file"], *((file[side] or "none")[:16] for side in ("then", "now")), verdict)
    differ = sum(not file["same"] for file in result["files"])
    end = "  identical, byte by byte" if result["identical"] else f"  {differ} of {len(result['files'])} files differ"
    again = "tried again" if result["searched"] else "tried the first time, not again"
    facts = f"  features {result['data_fingerprint']}, {result['trials']} configurations {again}"
    changed = [f"  search {line}" for line in result["search_changed"]] + [f"  {line}" for line in result["changed"]]
    since = ["  changed since the first time:", *changed] if changed else []
    return Group(table, Text(end, style="green" if result["identical"] else "red"), Text("\n".join([facts, *since])))


def versions_screen(result: Mapping[str, Any]) -> Group:
    """All versions with their aliases, and the ledger."""
    table = make_table("Model versions", "model", "alias", "gates", "run")
    for version in result["versions"]:
        gates = version["tags"].get("gates", "")
        table.add_row(
            f"{version['model']}/{version['version']}", ", ".join(version["aliases"]), gates, version["run_id"]
        )
    ledger = make_table("Who decided what", "when", "decision", "by", "reason")
    for entry in result["ledger"]:
        what = f"{entry['action']} {entry['model']}/{entry['version']}"
        ledger.add_row(str(entry["at"])[:19], what, entry["by"], entry["reason"])
    return Group(table, ledger)
