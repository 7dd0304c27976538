"""What is strange about a load: against the profile of the last accepted one, and against itself.

`profile_tables` describes a checked load in numbers that JSON can hold; `find_anomalies` compares two such profiles
by rules. Rules that need no reference (`SELF_RULES`) hold from the first load on; all others need one accepted load
before. What neither can tell is said where it matters: an *open* column, whose values come and go by nature (names of
campaigns), is not judged by its values; a column that is mostly empty is not judged by small changes of how full it
is.

Effect sizes are asked for, not p-values alone: rows of one customer are alike, so that tests which take rows for
independent would alarm on nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from configs.errors import ConfigError, nearest
from features.labels.ready_label import NOT_FEATURES
from features.quality.check import ValidatedTable
from features.quality.findings.profile_versions import NOT_COMPARED, PROFILE_VERSION, without_other_hours
from features.quality.twins import twin_shares
from features.tables import NO_EVENTS, Field, is_return, local_times, quote

Severity = Literal["stop", "warn"]
Profile = dict[str, Any]

FELL, Z = 0.02, 4.0
UNSEEN, OPEN, BY_CHANCE = 0.02, 0.2, 0.001
OFTEN = 0.01  # a value in so large a share of the rows is a category, and may be named
MOVED, RATIO, BLOCK_RATIO, BLOCKS = 0.2, 3.0, 8.0, 10
RUN, REPEATED, NEGATIVE, BEFORE = 0.05, 0.02, 0.03, 0.02
FEWER, MORE, LATE_DAYS = 0.33, 3.0, 3.0
FUTURE, DAMAGED, EARLY_RETURNS, TWINS = 0.001, 0.005, 0.05, 0.05
SHIFT_GAIN, SHIFT_GAIN_A_ROW, SHIFT_EXPLAINS = 15.0, 0.008, 0.5
CUTS = (0.5, 0.65, 0.8, 0.9)
IDS_SEEN, PROFILED = 20_000, 1_000_000
MIN_ROWS, SHARES_KEPT, GRID = 50, 500, np.linspace(0, 1, 101)
DAMAGE = (
    r"\ufffd|[\x80-\x9f]|Ã[\u0080-\u00bf\u0152-\u2122]"
    r"|Â[\u0080-\u00bf]|â€|ï»¿|\ufeff"
)
CONTROL = r"([\x00-\x08\x0b\x0c\x0e-\x1f\x7f])"
SIGNS = {
    "\x00": "NUL",
    "\x1b": "ESC, as terminals write it for colours",
    "\x08": "backspace",
    "\x1a": "Ctrl-Z",
    "\x7f": "DEL",
}

RULES: Mapping[str, tuple[Severity, str]] = {
    "completeness_fell": ("stop", "see whether the export still fills the column"),
    "unseen_values": ("stop", "map the new values to known ones, or accept them if the business has new ones"),
    "shares_moved": ("warn", "see whether the column was exchanged with another, or the business changed"),
    "shape_moved": ("stop", "see whether the column was exchanged with another; ids should look as before"),
    "scale_moved": ("stop", "see whether the unit changed (cents for euros), and divide in the mapping"),
    "control_signs": ("stop", "remove the control signs in the export: no person and no other system writes them"),
    "unit_change_within": ("stop", "see from which day on the amounts are in another unit, and correct the export"),
    "distribution_moved": ("stop", "see whether the column was exchanged with another, or means something new"),
    "negative_share_moved": ("stop", "see whether signs were turned; returns are negative, purchases are not"),
    "returns_without_purchase": ("stop", "see whether signs were turned: returns come after purchases"),
    "stuck_values": ("stop", "see from where on the export repeats one value"),
    "repeated_rows": ("stop", "see whether a file was loaded twice under new ids"),
    "twins": (
        "warn",
        "see whether customers stand there twice, or rows were copied to balance the label; no fold parts them",
    ),
    "conflicting_rows": (
        "stop",
        "see which row of a customer is right, and export that one; leave out by columns.exclude a column that names "
        "rows, or map a column that tells customers apart to customer_id",
    ),
    "hours_moved": ("stop", "see in which time zone the export writes its times, and say so in the mapping"),
    "recorded_before_event": ("stop", "see whether the two times were exchanged, or are told in different zones"),
    "damaged_text": ("stop", "read the file in the encoding it was written in, as a rule UTF-8"),
    "fewer_usable_rows": ("stop", "see in the quarantine why rows cannot be used that could be before"),
    "fewer_rows": ("stop", "see whether the export was cut short"),
    "more_rows": ("warn", "see whether rows were loaded twice, or the business grew"),
    "ends_early": ("stop", "see whether the export was cut short: it ends before the other tables do"),
    "gap": (
        "stop",
        "see whether the export lacks these days: outcomes over them count as unknown. If the business was "
        "closed then, say so under quality.closed; if the data ends there, say so by data_until",
    ),
    "ends_in_closure": ("stop", "or accept it knowingly: whoever is used to order oftener counts as silent since then"),
    "isolated_dates": ("stop", "see whether the year of the dates after the gap is right"),
    "future_dates": ("stop", "correct the dates, or the clock that wrote them"),
    "table_missing": ("stop", "give the table as before, or accept that it is gone"),
}
SELF_RULES = (
    "unit_change_within", "returns_without_purchase", "recorded_before_event", "damaged_text", "isolated_dates",
    "control_signs", "future_dates", "ends_early", "twins", "gap", "conflicting_rows",
    "ends_in_closure",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """Something strange: where, by which rule, what was got, what was expected, and what to do.

    A finding of severity ``stop`` keeps training and scoring from going on; one of severity ``warn`` is shown.
    """

    table: str
    column: str
    rule: str
    severity: Severity
    got: str
    expected: str
    todo: str

    @property
    def text(self) -> str:
        """The finding in one sentence."""
        return f"{self.table}.{self.column}: {self.got}, expected {self.expected} ({self.rule}); {self.todo}"

    def to_dict(self) -> dict[str, str]:
        """As JSON can hold it."""
        return asdict(self)


def profile_tables(checked: Mapping[str, ValidatedTable], time_zone: str) -> Profile:
    """Describe every table of a load in numbers.

    Parameters
    ----------
    checked
        The tables after their check.
    time_zone
        Hours of the day are counted in it.

    Returns
    -------
    dict
        Of at most about `PROFILED` rows of each: those of customers drawn by their id. Per table: rows, days, repeated
        rows, times out of order; per column: how full, how often its most common value comes, its longest run, and by
        kind: quantiles and signs, shares of values, shapes of ids, hours.
    """
    tables = {name: _profile_table(one, ZoneInfo(time_zone)) for name, one in checked.items()}
    ends = [t["newest"] for t in tables.values() if t["newest"] is not None]
    return {"version": PROFILE_VERSION, "end": max(ends, default=None), "tables": tables}


def find_anomalies(new: Profile, old: Profile | None = None, accepted: Iterable[str] = ()) -> list[Finding]:
    """Compare a load with itself and, if there is one, with the last accepted load.

    Hours of the day are only compared with a profile of the same version; where they are not, it is a finding that
    warns, see `features.quality.findings.profile_versions`.

    Parameters
    ----------
    new, old
        Profiles; `old` is None at the first load, which only `SELF_RULES` judge.
    accepted
        Names of rules whose findings only warn.

    Returns
    -------
    list of Finding
        Those that stop first.

    Raises
    ------
    ConfigError
        There is no rule of a name in `accepted`.
    """
    findings = [f for name, table in new["tables"].items() for f in _self_findings(name, table, new["end"], old)]
    comparable, unlike = without_other_hours(old or {"tables": {}})
    findings += [_not_compared(name, column) for name, column in unlike if name in new["tables"]]
    for name, before in comparable["tables"].items():
        if name in new["tables"]:
            findings += _comparison_findings(name, new["tables"][name], before)
        else:
            findings.append(_finding(name, "*", "table_missing", "no such table", f"{before['rows_used']:,} rows"))
    waived = _known_rules(accepted)
    findings = [Finding(**{**vars(f), "severity": "warn" if f.rule in waived else f.severity}) for f in findings]
    return sorted(findings, key=lambda f: f.severity)


def _known_rules(accepted: Iterable[str]) -> set[str]:
    for rule in accepted:
        if rule not in RULES:
            known = f"{nearest(rule, RULES)}; there are {', '.join(RULES)}"
            raise ConfigError(f"quality.accept_rules: no rule '{rule}'{known}")
    return set(accepted)


def _finding(table: str, column: str, rule: str, got: str, expected: str) -> Finding:
    severity, todo = RULES[rule]
    return Finding(table, column, rule, severity, got, expected, f"{todo}, or add '{rule}' to quality.accept_rules")


def _not_compared(table: str, column: str) -> Finding:
    got = "its hours of the day are not compared with the load before, as its profile was made by another version"
    todo = "nothing is to be done: the loads after the next accepted one are compared again"
    return Finding(table, column, NOT_COMPARED, "warn", got, f"a profile of version {PROFILE_VERSION}", todo)


def _profile_table(one: ValidatedTable, zone: ZoneInfo) -> Profile:
    spec, read = one.table, one.rows_judged
    used = one.select(partial(_some_customers, share=PROFILED / max(one.table_rows, 1)))
    times = used[spec.time]
    if spec.name == "subscriptions":  # one that was booked ahead counts when that was recorded
        times = times.mask(used["recorded_at"] < times, used["recorded_at"])
    in_time = used.loc[times.sort_values(kind="stable").index]
    content = [c for c in spec.names if c != spec.key and used[c].notna().any()]
    reasons = one.quarantined["reason"].astype(str)
    dated = times.nunique() > 1  # without dates, rows stand in the order of a file, which says nothing
    days = np.sort(times.dropna().dt.floor("D").unique())
    gaps = np.diff(days) / np.timedelta64(1, "D") if len(days) > 1 else np.array([0.0])
    widest = int(gaps.argmax())
    span = (days[-1] - days[0]) / np.timedelta64(1, "D") + 1 if len(days) else 0.0
    return {
        "time": spec.time,
        "rows_read": read,
        "rows_used": one.table_rows,
        "future_rows": int(one.weights[reasons.str.contains("lies in the future", regex=False)].sum()),
        "newest": None if times.isna().all() else times.max().isoformat(),
        "rows_a_day": one.table_rows / span if span else 0.0,
        "widest_gap_days": float(gaps[widest]),
        "days_before_gap": float((days[widest] - days[0]) / np.timedelta64(1, "D")) if len(days) > 1 else 0.0,
        "rows_after_gap": float((times > days[widest] + np.timedelta64(1, "D")).mean()) if len(days) > 1 else 0.0,
        "repeated": float(used.duplicated(content).mean()) if len(content) > 2 else 0.0,
        "twins": _twins(used) if spec.name == "profiles" else (0.0, 0.0),
        "before": _before(used, spec.time, spec.names),
        "early_returns": _early_returns(in_time) if spec.name == "orders" else 0.0,
        "columns": {f.name: _profile_column(f, used, in_time, spec.key, zone, dated) for f in spec.fields},
    }


def _some_customers(used: pd.DataFrame, share: float) -> pd.DataFrame:
    """The rows of about that share of the customers: all of each, so that nobody's story has gaps."""
    if share >= 1:
        return used
    codes, ids = pd.factorize(used["customer_id"])
    drawn = pd.util.hash_array(np.asarray(ids, dtype=object)) < np.uint64(share * 2**64)
    return used[drawn[codes] & (codes >= 0)]


def _twins(profiles: pd.DataFrame) -> tuple[float, float]:
    """Share of the customers that are another one again, and of those that are or nearly are."""
    return twin_shares(profiles.drop(columns=[name for name in NOT_FEATURES if name in profiles]))


def _before(used: pd.DataFrame, time: str, names: Iterable[str]) -> dict[str, float]:
    """Share of the rows in which a later time lies before the event itself, by its column."""
    later = ("redeemed_at", "ended_at") if time == "started_at" else ("recorded_at", "redeemed_at", "ended_at")
    filled = [c for c in later if c in names and used[c].notna().any()]
    return {c: float((used[c] < used[time]).sum() / used[c].notna().sum()) for c in filled}


def _early_returns(orders: pd.DataFrame) -> float:
    """Share of the orders that are returns of a customer who has bought nothing before."""
    bought = (~is_return(orders)).groupby(orders["customer_id"]).cummax()
    return float((~bought).mean()) if len(orders) else 0.0


def _profile_column(
    field: Field, used: pd.DataFrame, in_time: pd.DataFrame, key: str, zone: ZoneInfo, dated: bool
) -> Profile:
    values, filled = used[field.name], used[field.name].dropna()
    out: Profile = {"kind": field.kind, "rows": len(values), "filled": len(filled)}
    if len(filled) == 0:
        return out
    if field.name != key:
        out |= {"mode": float(filled.value_counts().iloc[0] / len(filled))}
        out |= _longest_run(filled) if dated else {"run": 0.0}
    if field.kind in ("number", "flag"):
        return out | _profile_numbers(
            filled.to_numpy(float), in_time[field.name] if dated else in_time[field.name].head(0)
        )
    if field.kind == "time":
        hours = local_times(filled, zone).dt.hour.to_numpy()
        effect = design_effect(used.loc[filled.index, "customer_id"], hours)
        return out | {"hours": np.bincount(hours, minlength=24).tolist(), "hours_effect": effect}
    every = max(1, len(filled) // IDS_SEEN) if field.kind == "id" else 1
    text = filled.iloc[::every].astype(str)
    different = text.drop_duplicates()
    out["damaged"] = float(different.str.contains(DAMAGE).mean())
    signs = different.str.extract(CONTROL, expand=False).dropna()
    out["control"] = len(signs) / max(len(different), 1)
    out["control_sign"] = "" if signs.empty else str(signs.mode().iloc[0])
    if field.kind == "text":
        return out | _profile_texts(
            text.loc[in_time.index[in_time.index.isin(text.index)]], used, CUTS if dated else ()
        )
    return out | {"shapes": _shapes(text)}


def _longest_run(values: pd.Series) -> Profile:
    """Rows of the longest stretch of one value, in the file's order, as a share of all; how often that value comes."""
    codes = pd.factorize(values)[0]
    starts = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
    lengths = np.diff(np.append(starts, len(codes)))
    value = codes[starts[lengths.argmax()]]
    return {"run": float(lengths.max() / len(codes)), "run_value": float((codes == value).mean())}


def _profile_numbers(values: np.ndarray, in_time: pd.Series) -> Profile:
    size = np.abs(values[values != 0])
    return {
        "quantiles": np.quantile(values, GRID).tolist(),
        "size": float(np.median(size)) if len(size) else 0.0,
        "negative": float((values < 0).mean()),
        "block_ratio": _block_ratio(np.abs(in_time.dropna().to_numpy(float))),
    }


def _block_ratio(in_time: np.ndarray) -> float:
    """How far the middle of one tenth of time lies from the middle of all tenths, as a factor of at least one."""
    blocks = [b[b > 0] for b in np.array_split(in_time, BLOCKS)]
    middles = np.array([np.median(b) for b in blocks if len(b) >= MIN_ROWS // 2])
    return float(middles.max() / middles.min()) if len(middles) > 1 else 1.0


def _profile_texts(in_time: pd.Series, used: pd.DataFrame, cuts: Iterable[float]) -> Profile:
    """Shares of the values; and how many rows hold values that are new to the half of the customers or to the time."""
    shares = in_time.value_counts(normalize=True)
    person = used.loc[in_time.index, "customer_id"].astype(str).to_numpy(object)
    place = np.arange(len(in_time)) / len(in_time)
    splits = [pd.util.hash_array(person) % 2 == 0, *(place >= cut for cut in cuts)]
    novelty = max(_novelty(in_time, split) for split in splits)
    return {"shares": shares.head(SHARES_KEPT).to_dict(), "values": len(shares), "novelty": novelty}


def _novelty(text: pd.Series, part: np.ndarray) -> float:
    """Share of the rows of one part whose value does not come in the other."""
    return float((~text[part].isin(set(text[~part]))).mean()) if part.any() and not part.all() else 0.0


def _shapes(text: pd.Series) -> dict[str, float]:
    """Shares of the shapes of ids: letters become a, digits 9, stretches of the same one become one."""
    shape = text.str.replace(r"[^\W\d_]+", "a", regex=True).str.replace(r"\d+", "9", regex=True)
    return {str(k): float(v) for k, v in shape.value_counts(normalize=True).head(50).items()}


def _self_findings(name: str, table: Profile, end: str | None, old: Profile | None) -> list[Finding]:
    findings, rows = [], max(table["rows_read"], 1)
    if table["future_rows"] / rows > FUTURE:
        got = f"{table['future_rows']:,} of {rows:,} rows lie in the future"
        findings.append(_finding(name, table["time"], "future_dates", got, f"at most {FUTURE:.1%}"))
    gap, before = table["widest_gap_days"], table["days_before_gap"]
    if gap > 180 and gap > before / 2 and table["rows_after_gap"] < 0.3:
        got = f"{table['rows_after_gap']:.1%} of the rows come after {gap:.0f} days without any"
        findings.append(_finding(name, table["time"], "isolated_dates", got, "no such gap"))
    exact, any_twin = table.get("twins", (0.0, 0.0))
    if any_twin > TWINS:
        got = f"{exact:.1%} of the rows equal another in all but the id and the label, {any_twin - exact:.1%} nearly do"
        findings.append(_finding(name, "*", "twins", got, f"at most {TWINS:.0%}"))
    for column, share in table["before"].items():
        was = 0.0 if old is None else old["tables"].get(name, {}).get("before", {}).get(column, 0.0)
        if share > was + BEFORE:
            got = f"{share:.1%} of the rows lie before {table['time']}"
            findings.append(_finding(name, column, "recorded_before_event", got, f"at most {was + BEFORE:.1%}"))
    if table["early_returns"] > EARLY_RETURNS:
        got = f"{table['early_returns']:.1%} of the rows are returns of who bought nothing before"
        findings.append(_finding(name, "amount", "returns_without_purchase", got, f"at most {EARLY_RETURNS:.0%}"))
    for column, profile in table["columns"].items():
        if profile.get("damaged", 0) > DAMAGED:
            got = f"{profile['damaged']:.1%} of its values hold characters of a broken encoding"
            findings.append(_finding(name, column, "damaged_text", got, "none"))
        if profile.get("control", 0) > DAMAGED:
            sign = profile["control_sign"]
            which = f"U+{ord(sign):04X}" + (f" ({SIGNS[sign]})" if sign in SIGNS else "")
            got = f"{profile['control']:.1%} of its values hold control signs, most often {which}"
            findings.append(_finding(name, column, "control_signs", got, "none"))
        if profile.get("block_ratio", 1) > BLOCK_RATIO:
            got = f"the middle value changes by a factor of {profile['block_ratio']:.0f} within the load"
            findings.append(_finding(name, column, "unit_change_within", got, f"at most {BLOCK_RATIO:.0f}"))
    return findings + _early_end(name, table, end, old)


def _early_end(name: str, table: Profile, end: str | None, old: Profile | None) -> list[Finding]:
    """A table ends long before the newest table does; longer than it ever paused, and than it did before.

    Customers and their other ids are left out: a business may win nobody for a while, and who is cut off misses among
    the orders' ids.
    """
    was = None if old is None else old["tables"].get(name)
    usual = _days(was["newest"], old["end"]) if was and old else 0.0
    ends, limit = _days(table["newest"], end), LATE_DAYS + 2 * max(usual, table["widest_gap_days"])
    if ends <= limit or name in NO_EVENTS:
        return []
    got = f"its newest row is {ends:.0f} days older than that of the newest table"
    one = _finding(name, table["time"], "ends_early", got, f"at most {limit:.0f} days")
    return [one if was else Finding(**{**vars(one), "severity": "warn"})]


def _days(earlier: str | None, later: str | None) -> float:
    if earlier is None or later is None:
        return 0.0
    return (pd.Timestamp(later) - pd.Timestamp(earlier)).total_seconds() / 86_400


def _comparison_findings(name: str, new: Profile, old: Profile) -> list[Finding]:
    findings, per_day = [], (new["rows_a_day"], old["rows_a_day"])
    if old["rows_used"] >= MIN_ROWS and per_day[0] < (1 - FEWER) * per_day[1]:
        findings.append(_finding(name, "*", "fewer_rows", f"{per_day[0]:.1f} rows a day", f"about {per_day[1]:.1f}"))
    if old["rows_used"] >= MIN_ROWS and per_day[0] > MORE * per_day[1]:
        findings.append(_finding(name, "*", "more_rows", f"{per_day[0]:.1f} rows a day", f"about {per_day[1]:.1f}"))
    usable = [max(p["rows_used"], 0) / max(p["rows_read"], 1) for p in (new, old)]
    if usable[0] < usable[1] - FELL and _z(new["rows_used"], new["rows_read"], old["rows_used"], old["rows_read"]) < -Z:
        got = f"{usable[0]:.1%} of the rows can be used"
        findings.append(_finding(name, "*", "fewer_usable_rows", got, f"about {usable[1]:.1%}"))
    if new["repeated"] > old["repeated"] + REPEATED:
        got = f"{new['repeated']:.1%} of the rows repeat another in all but the key"
        findings.append(_finding(name, "*", "repeated_rows", got, f"about {old['repeated']:.1%}"))
    for column in old["columns"]:
        if column in new["columns"]:
            findings += _column_findings(name, column, new["columns"][column], old["columns"][column])
    return findings


def _column_findings(table: str, column: str, new: Profile, old: Profile) -> list[Finding]:
    full = (new["filled"] / max(new["rows"], 1), old["filled"] / max(old["rows"], 1))
    findings = []
    if full[1] - full[0] > FELL and _z(new["filled"], new["rows"], old["filled"], old["rows"]) < -Z:
        findings.append(
            _finding(table, column, "completeness_fell", f"{full[0]:.1%} of the rows filled", f"about {full[1]:.1%}")
        )
    if min(new["filled"], old["filled"]) < MIN_ROWS or "mode" not in old:
        return findings + (_shape(table, column, new, old) if "shapes" in old and new.get("shapes") else [])
    kind = {"number": _numbers, "flag": _numbers, "time": _hours, "text": _values, "id": _shape}[old["kind"]]
    return findings + _stuck(table, column, new, old) + kind(table, column, new, old)


def _z(a: int, n: int, b: int, m: int) -> float:
    """Two-proportion z; negative if the first is smaller."""
    pooled = (a + b + 1) / (n + m + 2)
    return (a / max(n, 1) - b / max(m, 1)) / np.sqrt(pooled * (1 - pooled) * (1 / max(n, 1) + 1 / max(m, 1)))


def _stuck(table: str, column: str, new: Profile, old: Profile) -> list[Finding]:
    if old.get("novelty", 0) > OPEN or (old["run"] > 0.1 and old["kind"] != "number"):
        return []
    if new["run"] <= 2 * old["run"] + RUN:
        return []
    usual = old["mode"]  # a day that is as common as before, as that of a change of prices, is a batch
    noise = 2.5 * np.sqrt(usual * (1 - usual) * (1 / new["filled"] + 1 / old["filled"]))
    is_batch = new["run"] < usual and new.get("run_value", 0) == new["mode"] and new["mode"] <= usual + RUN + noise
    if old["kind"] == "time" and is_batch:
        return []
    return [
        _finding(
            table, column, "stuck_values", f"one value stands in {new['run']:.1%} of the rows in a row",
            f"at most {2 * old['run'] + RUN:.1%}",
        )
    ]  # fmt: skip


def _numbers(table: str, column: str, new: Profile, old: Profile) -> list[Finding]:
    findings, ratio = [], new["size"] / old["size"] if old["size"] else 1.0
    if ratio > RATIO or ratio < 1 / RATIO:
        got = f"a middle size of {new['size']:,.2f}, {ratio:.3g} times what it was"
        findings.append(_finding(table, column, "scale_moved", got, f"about {old['size']:,.2f}"))
    apart = _distance(np.array(new["quantiles"]), np.array(old["quantiles"]))
    noise = 2.5 * np.sqrt(1 / new["filled"] + 1 / old["filled"])
    if apart > MOVED + noise:
        findings.append(
            _finding(table, column, "distribution_moved", f"a distance (Kolmogorov-Smirnov) of {apart:.2f}",
                     f"at most {MOVED + noise:.2f}")
        )  # fmt: skip
    if abs(new["negative"] - old["negative"]) > NEGATIVE + noise / 2:
        got = f"{new['negative']:.1%} of the values are negative"
        findings.append(_finding(table, column, "negative_share_moved", got, f"about {old['negative']:.1%}"))
    return findings


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Largest distance of two distribution functions, given by their quantiles at `GRID`."""
    at = np.concatenate([a, b])
    upto = [np.searchsorted(q, at, side="right") / len(q) for q in (a, b)]
    return float(np.abs(upto[0] - upto[1]).max())


def _hours(table: str, column: str, new: Profile, old: Profile) -> list[Finding]:
    if "hours" not in old:
        return []
    shift, gain, explained = hour_shift(np.array(new["hours"], float), np.array(old["hours"], float))
    effect = max(new.get("hours_effect", 1.0), old.get("hours_effect", 1.0))
    noise = SHIFT_GAIN * (1 + new["filled"] / old["filled"]) * effect
    if gain < max(noise, SHIFT_GAIN_A_ROW * new["filled"]) or explained < SHIFT_EXPLAINS:
        return []
    got = f"the hours of the day fit the usual ones only if moved by {shift:+d} h"
    return [_finding(table, column, "hours_moved", got, "the hours as before")]


def design_effect(persons: pd.Series, classes: np.ndarray) -> float:
    """How much more the shares of classes vary by chance than those of as many independent rows would.

    Rows of one person are alike: a few customers who always buy at night move the hours of a whole load.

    Parameters
    ----------
    persons
        Whose row it is, shape ``(n,)``.
    classes
        Its class, a small whole number, shape ``(n,)``.

    Returns
    -------
    float
        At least 1: the mean design effect of the cells, by which a likelihood ratio is to be divided (Rao and Scott,
        "On chi-squared tests for multiway contingency tables", Annals of Statistics 12, 1984, first order).

    Examples
    --------
    >>> design_effect(pd.Series(["a", "a", "b", "b"]), np.array([0, 0, 1, 1]))
    2.0
    """
    codes = pd.factorize(persons)[0]
    kinds, cells = np.unique(classes, return_inverse=True)
    if len(kinds) < 2:
        return 1.0
    pairs, rows = np.unique(codes * len(kinds) + cells, return_counts=True)
    person, cell = np.divmod(pairs, len(kinds))
    share, own = np.bincount(cells) / len(cells), np.bincount(codes, minlength=codes.max() + 1)
    expected = own[person] * share[cell]
    squares = np.bincount(cell, (rows - expected) ** 2 - expected**2) + share**2 * (own.astype(float) ** 2).sum()
    by_cell = squares / (len(cells) * share * (1 - share))
    return max(1.0, float(((1 - share) * by_cell).sum() / (len(kinds) - 1)))


def hour_shift(new: np.ndarray, old: np.ndarray) -> tuple[int, float, float]:
    """Find the shift of the clock that explains best how the hours of the day changed.

    Parameters
    ----------
    new, old
        Counts of the 24 hours, shape (24,).

    Returns
    -------
    tuple
        Hours by which all or a part (a quarter, a half) of `new` lies later than `old`; the log-likelihood gained
        over no shift; and the share of all that could be gained.

    Examples
    --------
    >>> day = np.array([1] * 8 + [50] * 10 + [10] * 6)
    >>> hour_shift(np.roll(day, 3), day)[0]
    3
    """
    usual = (old + 0.5) / (old + 0.5).sum()
    plain = float(new @ np.log(usual))
    best = max(
        (float(new @ np.log((1 - part) * usual + part * np.roll(usual, shift))), shift)
        for shift in [*range(-12, 0), *range(1, 12)]
        for part in (1.0, 0.5, 0.25)
    )
    own = (new + 0.5) / (new + 0.5).sum()
    possible = max(float(new @ np.log(own)) - plain, 1e-9)
    return best[1], best[0] - plain, (best[0] - plain) / possible


def _values(table: str, column: str, new: Profile, old: Profile) -> list[Finding]:
    if old["novelty"] > OPEN or old["values"] > SHARES_KEPT:
        return []
    names = set(new["shares"]) | set(old["shares"])
    unseen = {v: s for v, s in new["shares"].items() if v not in old["shares"]}
    limit = UNSEEN + 2 * old["novelty"]
    findings = []
    if sum(unseen.values()) > limit and _all_new(unseen, new["filled"], old["filled"]) < BY_CHANCE:
        most = max(unseen, key=lambda v: unseen[v])
        named = f", most of them {quote(most)}" if unseen[most] >= OFTEN else ""
        got = f"{sum(unseen.values()):.1%} of the rows hold values never seen{named}"
        findings.append(_finding(table, column, "unseen_values", got, f"at most {limit:.1%}"))
    apart = sum(abs(new["shares"].get(v, 0) - old["shares"].get(v, 0)) for v in names) / 2
    if apart > MOVED + 2 * old["novelty"]:
        got = f"{apart:.0%} of the rows would have to change their value to be as before"
        findings.append(_finding(table, column, "shares_moved", got, f"at most {MOVED + 2 * old['novelty']:.0%}"))
    return findings


def _all_new(unseen: Mapping[str, float], new: int, old: int) -> float:
    """How likely it is that rows of rare values, shared out by chance over both loads, all fall into the new one."""
    return float((new / (new + old)) ** (sum(unseen.values()) * new))


def _shape(table: str, column: str, new: Profile, old: Profile) -> list[Finding]:
    names = set(new["shapes"]) | set(old["shapes"])
    apart = sum(abs(new["shapes"].get(v, 0) - old["shapes"].get(v, 0)) for v in names) / 2
    if apart <= MOVED:
        return []
    most = [max(p["shapes"], key=lambda v: p["shapes"][v]) for p in (new, old)]
    return [_finding(table, column, "shape_moved", f"ids that look like {most[0]!r}", f"{most[1]!r}")]
