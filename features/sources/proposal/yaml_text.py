"""The configuration of a business as YAML, every guess explained beside its line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from features.labels.flags import read_flags
from features.labels.label_column import find_label, tell_label
from features.labels.moments import LONGEST_MONTH
from features.numbers.currencies import SHARED_SIGNS
from features.sources.proposal.business import (
    GAPS_ACTIVE,
    LEAST_HORIZON,
    LONG_CONTRACT_DAYS,
    Business,
    Rhythm,
    customer_columns,
    outcome_notes,
    rounded_up,
)
from features.sources.proposal.columns import FEW, Column
from features.sources.proposal.lexicon import KINDS, STATUSES
from features.sources.proposal.notices import may_be_notice
from features.sources.proposal.outcomes import left_out
from features.sources.proposal.tables import Guess, Reading, TableGuess
from features.sources.proposal.time_in_names import time_told
from features.sources.rows.meaning import normalized
from features.tables import MONEY

WORDS_OF_YAML = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))
SAME, MOSTLY = 0.5, 0.8
VALUE_DAYS = 90
PERSON = r"[^\W\d_]+([ .,'’-]+[^\W\d_]+)+\.?|[\u4e00-\u9fff]{2,4}"
OF_VALUE = (
    "is it what each customer brought? then it is forecast, and never a feature; if not, take this line out, and where "
    "it was not known before, put the column under exclude"
)
_SIMPLE = re.compile(r"[A-Za-z_][A-Za-z0-9_ ]*(?<! )")


def to_yaml(name: str, business: Business, doubts: Mapping[Path, str]) -> str:
    """Write the configuration of a business, as it is proposed.

    Parameters
    ----------
    name, business
        What it is called, and what is proposed.
    doubts
        Of files that do not tell how they are read, the line of the mapping that says it: an encoding, a sheet.
    """
    lines = [
        "# Proposed from your files: read every line, correct what is wrong, then run `staycast ingest --check`.",
        f"name: {name}",
        *_currency_lines(business),
        "time_zone: UTC  # where the customers live; the files do not tell it: correct it",
        "source:",
        "  loader: files",
    ]
    if business.customers_from:
        why = "no file lists customers with a date of sign-up: the first row of each is it"
        lines.append(f"  customers_from: {business.customers_from}  # {why}")
    lines.append("  options:")
    for table, entries in business.tables.items():
        lines += _table_lines(table, entries, doubts)
    for table in business.missing:
        lines.append(f"    # {table}: ?  # no file looks like it, and churn by {business.kind} needs it")
    lines += [f"    # not used: {comment(path)}: {comment(why)}" for path, why in business.aside.items()]
    return "\n".join([*lines, *_churn_lines(business), *_column_lines(business)]) + "\n"


def _currency_lines(business: Business) -> list[str]:
    orders = [guesses[0] for guesses in business.tables.get("orders", [])]
    if orders and business.kind == "inactivity" and not any(g.column("amount") for g in orders):
        return ["currency: XXX   # no amounts were found: each order counts as one, see docs/own-data.md"]
    beside = [c for column in _money_columns(business) for c in column.currencies]
    beside = beside or [c for column in _number_columns(business) for c in column.currencies]
    files = [
        guesses[0] for entries in business.tables.values() for guesses in entries if guesses[0].table.name in MONEY
    ]
    told = [str(code).upper() for guess in files if (c := currency_column(guess)) for code in c.counts.index]
    found = list(dict.fromkeys(beside + told))
    if len(found) == 1:
        return [f"currency: {found[0]}  # as the files tell"]
    if found:
        return [f"currency: {found[0]}  # the files hold {', '.join(found)}: correct it, and give `rates`"]
    for sign in (sign for column in _money_columns(business) for sign in column.shared_signs):
        several = SHARED_SIGNS[sign]
        return [f"currency: {several[0]}  # DOUBT: the files have {sign}, the sign of {', '.join(several)}: correct it"]
    return ["currency: USD   # not told by the files: correct it"]


def _money_columns(business: Business) -> Iterable[Column]:
    """Columns whose values may say the currency: amounts and prices; of a ready table all numbers."""
    yield from _columns_of(business, "amount", "price_per_month")
    for entry in business.tables.get("profiles", []):
        yield from (column for column in entry[0].columns if column.is_number)


def _number_columns(business: Business) -> Iterable[Column]:
    for entries in business.tables.values():
        yield from (column for entry in entries for column in entry[0].columns if column.is_number)


def _columns_of(business: Business, *names: str) -> Iterable[Column]:
    for entries in business.tables.values():
        for guesses in entries:
            yield from (g.column for g in guesses[0].guesses if g.field.name in names)


def _table_lines(table: str, entries: list[list[TableGuess]], doubts: Mapping[Path, str]) -> list[str]:
    grain = entries[0][0].table.grain
    if len(entries) == 1:
        return [
            f"    {table}:  # one row per {grain}",
            *(f"      {line}" for line in _entry_lines(entries[0], doubts)),
        ]
    lines = [f"    {table}:  # one row per {grain}; several entries, each with its own mapping"]
    prefixes = _prefixes(entries)
    for entry, prefix in zip(entries, prefixes, strict=True):
        first, *rest = _entry_lines(entry, doubts)
        why = f"so that no {entry[0].table.key} stands in two of them"
        rest += [f"key_prefix: {quoted(prefix)}  # {why}"] if prefix else []
        lines += [f"      - {first}", *(f"        {line}" for line in rest)]
    return lines


def _prefixes(entries: list[list[TableGuess]]) -> list[str]:
    """What the keys of each entry begin with, so that they stay apart; empty where no file has another's keys.

    Nor where a key is the same customer's as a rule: such rows are versions of one, see `features.sources.rows`. (A
    visit and a ticket, whose files have other columns, are none.)
    """
    keys = [_customer_of_key(entry[0]) for entry in entries]
    paths = [{g.path for g in entry} for entry in entries]
    names = [[c.name for c in entry[0].columns] for entry in entries]

    def again(n: int) -> bool:
        others = [k for k in range(len(entries)) if k != n and not paths[n] & paths[k]]
        apart = [entries[n][0].table.name not in MONEY and names[n] != names[k] for k in others]
        return any(_are_others(keys[n], keys[k], 0 if own else SAME) for k, own in zip(others, apart, strict=True))

    given = [entry[0].reading.key_prefix if entry[0].reading else None for entry in entries]
    own = [f"{entry[0].path.stem}-" if again(n) else "" for n, entry in enumerate(entries)]
    return [prefix or other for prefix, other in zip(given, own, strict=True)]


def _customer_of_key(guess: TableGuess) -> dict[str, str]:
    key, customer = guess.column(guess.table.key), guess.column("customer_id")
    if key is None:
        return {}
    who = (key if customer is None else customer).filled.astype(str)
    return dict(zip(key.filled.astype(str), who.reindex(key.filled.index).fillna(""), strict=True))


def _are_others(one: Mapping[str, str], other: Mapping[str, str], tolerated: float) -> bool:
    """Whether keys that stand in both are of the same customer in at most such a share; 0: whether there are any."""
    shared = [key for key in one if key in other]
    same = sum(one[key] == other[key] for key in shared)
    return bool(shared) and (not tolerated or same <= tolerated * len(shared))


def _entry_lines(guesses: list[TableGuess], doubts: Mapping[Path, str]) -> list[str]:
    guess, paths = guesses[0], [quoted(str(g.path)) for g in guesses]
    lines = [f"path: {paths[0]}"] if len(paths) == 1 else [f"path: [{', '.join(paths)}]"]
    lines += sorted({doubts[g.path] for g in guesses if g.path in doubts})
    lines.append("columns:")
    lines += [f"  {g.field.name}: {quoted(g.column.name)}  # {comment(g.why)}{_doubt(g)}" for g in guess.guesses]
    not_found = dict.fromkeys(guess.missing, "required, and not found among the columns") | guess.instead
    name = "# {}: ?" if guess.guesses else '{}: "?"'  # a mapping holds more than comments
    lines += [f"  {name.format(own)}  # {comment(why)}" for own, why in not_found.items()]
    lines += _reading_lines(guess)
    times = [line for g in guess.guesses if g.field.kind == "time" and (line := _time_line(g.field.name, g.column))]
    lines += ["times:", *times] if times else []
    lines += _value_lines(guess)
    if unread := _unread(guess):
        lines.append(f"# not read: {comment(', '.join(unread))}")
    return lines


def _unread(guess: TableGuess) -> list[str]:
    """Columns of which nothing is made: neither columns of the table, nor rules, attributes or groups to audit."""
    if guess.table.name == "profiles":
        return []
    currency = currency_column(guess) if guess.table.name in MONEY else None
    read = {*(guess.reading.where if guess.reading else ()), None if currency is None else currency.name}
    numbers = guess.reading.numbers.values() if guess.reading else ()
    read |= {how.get(key) for how in numbers for key in ("times", "per")}
    if guess.table.name == "customers":
        read |= {c.name for found in customer_columns(guess) for c in found}
    return [c.name for c in guess.spare if c.name not in read]


def _reading_lines(guess: TableGuess) -> list[str]:
    """What else the mapping says: which rows, in which currency, how numbers are written."""
    reading = guess.reading or Reading()
    lines = [f"# {comment(note)}" for note in reading.notes]
    if guess.table.name in MONEY and (column := currency_column(guess)) is not None:
        codes = comment(", ".join(map(str, column.counts.index[:5])))
        rates = "; SEVERAL: give `rates`, see configs/default.yaml" if column.distinct > 1 else ""
        lines.append(f"currency: {quoted(column.name)}  # it holds {codes}{rates}")
    lines += ["may_be_empty: true"] if reading.may_be_empty else []
    if reading.number_rows:
        why = "no column names customers: the number of a row does, as long as the file keeps its order"
        lines.append(f"number_rows: true  # CHECK: {why}")
    if reading.ids:
        lines.append(f"ids: {{customer_id: {_flow(reading.ids[0])}}}  # CHECK: {comment(reading.ids[1])}")
    if reading.where:
        lines.append("where:")
    lines += [f"  {quoted(n)}: {_flow(kept)}  # {comment(why)}" for n, (kept, why) in reading.where.items()]
    if reading.lines:
        lines.append(f"lines: {_flow(reading.lines)}  # several rows have the same {guess.table.key}: one line an item")
    if reading.numbers:
        lines.append("numbers:")
    lines += [f"  {name}: {_flow(how)}" for name, how in reading.numbers.items()]
    return lines


def _flow(value: Any) -> str:
    """Lists and mappings on one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{quoted(str(k))}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        return quoted(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}"


def currency_column(guess: TableGuess) -> Column | None:
    """The column that says in which currency the amounts of a file are."""
    if guess.table.name == "profiles" and guess.column("realised_value") is None:
        return None
    if guess.reading is not None and guess.reading.currency is not None:
        return next(c for c in guess.columns if c.name == guess.reading.currency)
    return next((c for c in guess.spare if c.is_currency_code), None)


def _doubt(guess: Guess) -> str:
    """What to look at twice."""
    if guess.field.name == "amount" and "unit" in guess.column.meaning.concepts:
        return "; DOUBT: the price of one unit is not what the order brought"
    if guess.field.name == "customer_id" and guess.column.filled.astype(str).str.fullmatch(PERSON).mean() > MOSTLY:
        return "; DOUBT: names, which several people share, would be one customer: a number or e-mail address is sure"
    if guess.field.name == "ordered_at" and "arrival" in guess.column.meaning.concepts:
        return "; DOUBT: an arrival may lie ahead: where the day of the booking is known, that is when it was ordered"
    if guess.field.name == "cancelled_at" and may_be_notice(guess.column.name):
        return "; DOUBT: when notice was given? if it is the end itself, say ended_at"
    if guess.field.name == "realised_value":
        return f"; DOUBT: {OF_VALUE}"
    if guess.score > 0.55:
        return ""
    return "; DOUBT: is it the price of a month?" if guess.field.name == "price_per_month" else "; DOUBT: look twice"


def _time_line(name: str, column: Column) -> str:
    """How the times of a column are written, where that must be said."""
    formats = column.time_formats or ()
    parts = [f"format: {json.dumps(formats[0], ensure_ascii=False)}"] if formats else []
    parts += ["zone: UTC"] if "utc" in column.name.lower() else []
    other = f"  # AMBIGUOUS: could be {formats[1]}" if len(formats) > 1 else ""
    return f"  {name}: {{{', '.join(parts)}}}{other}" if parts else ""


def _value_lines(guess: TableGuess) -> list[str]:
    """Values that mean something by another name: kinds of interaction, and who left."""
    lines: list[str] = []
    kind, status, label = (guess.column(name) for name in ("kind", "status", "label"))
    if kind is not None and guess.table.name == "interactions":
        lines += _words_line("kind", kind, KINDS, "kinds of interaction that features read")
    if status is not None and guess.table.name == "subscriptions":
        lines += _words_line("status", status, STATUSES, "states of a contract with a meaning")
    if label is not None and (said := _label_line(label)):
        lines.append(said)
    given = guess.reading.values if guess.reading else {}
    lines = [line for line in lines if line.split(":")[0].strip() not in given]
    lines += [f"  {name}: {_flow(words)}" for name, words in given.items()]
    return ["values:", *lines] if lines else []


def _words_line(name: str, column: Column, words: Mapping[str, str], what: str) -> list[str]:
    """Values that are known by another word."""
    values = [str(value) for value in column.counts.head(FEW).index]
    meant = {v: known for v in values for known, others in words.items() if normalized(v) in others.split()}
    pairs = ", ".join(f"{quoted(value)}: {known}" for value, known in meant.items() if value != known)
    return [f"  {name}: {{{pairs}}}  # {what}: {', '.join(words)}, ..."] if pairs else []


def _label_line(label: Column) -> str:
    values = [str(value) for value in label.counts.index]
    if read_flags(pd.Series(values)).notna().all():
        return ""
    guess = find_label(pd.DataFrame({label.name: label.values}))
    meant = guess.values if guess else dict.fromkeys(values, "?")
    pairs = ", ".join(f'{quoted(value)}: "{word}"' for value, word in meant.items())
    why = guess.why if guess else "which value means that the customer left? write yes and no"
    return f"  label: {{{pairs}}}  # {comment(why)}"


def _churn_lines(business: Business) -> list[str]:
    lines, seen = ["churn:", f"  kind: {business.kind}"], business.rhythm
    if business.kind == "label":
        files = [g for entry in business.tables.get("profiles", []) for g in entry]
        has_value, has_label = (any(g.column(name) for g in files) for name in ("realised_value", "label"))
        if has_value and not has_label:
            lines.append(
                "  forecast: false  # no column says who left: value alone; if one does, name it as label above"
            )
        else:
            lines.append("  horizon_days: 30  # within how many days leavers left: only you know; correct it")
        doubt = "over how many days realised_value counts; DOUBT: only you know; correct it"
        of_value = ["clv:", f"  horizon_days: {_value_days(business)}  # {doubt}"]
        return [*lines, *(of_value if has_value else [])]
    if business.kind == "contract":
        return [*lines, *_contract_lines(seen)]
    if seen is None:
        return [*lines, "  # the usual gap cannot be seen; horizon_days and activity_days stay at their defaults"]
    gap = seen.gap_days
    horizon = max(LEAST_HORIZON, rounded_up(gap))
    why = f"the usual gap between two orders is {gap:.0f} days (median of {seen.customers:,} customers)"
    lines += [
        f"  # {why}",
        f"  horizon_days: {horizon}  # at least one usual gap, so that a stayer has time to order",
        f"  activity_days: {max(LEAST_HORIZON, rounded_up(GAPS_ACTIVE * gap))}  # about {GAPS_ACTIVE} usual gaps",
    ]
    return [*lines, *_further_lines(horizon, seen)]


def _value_days(business: Business) -> int:
    """As the name of the column of values says, else a guess."""
    names = [c.name for c in _columns_of(business, "realised_value")]
    return next((told.days for name in names if (told := time_told(name)) and told.days), VALUE_DAYS)


def _contract_lines(seen: Rhythm | None) -> list[str]:
    """A horizon that reaches from each first of a month to the next, so that no end falls between two."""
    whole = f"at least {LONGEST_MONTH}: customers are looked at once a month, and an end on the 31st counts, too"
    horizon = 90 if seen and seen.gap_days >= LONG_CONTRACT_DAYS else LONGEST_MONTH
    why = f"contracts that ended were {seen.gap_days:.0f} days long (median of {seen.customers:,})" if seen else ""
    lines = [f"  # {why or 'no contract that ended can be seen'}", f"  horizon_days: {horizon}  # {whole}"]
    return [*lines, *_further_lines(horizon, seen)]


def _further_lines(horizon: int, seen: Rhythm | None) -> list[str]:
    lines = [f"  horizons_days: [{horizon}, {2 * horizon}, {3 * horizon}]  # answered for beside it"]
    if seen and seen.is_part:
        lines.append(f"  # CHECK: seen in the first rows of the files alone, which hold {seen.span_days} days")
    elif seen and seen.span_days < 6 * horizon:
        lines.append(f"  # the files hold {seen.span_days} days only: little to learn from for a horizon of {horizon}")
    return lines


def _column_lines(business: Business) -> list[str]:
    name = "profiles" if business.kind == "label" else "customers"
    if name not in business.tables:
        return []
    guess = business.tables[name][0][0]
    attributes, sensitive = customer_columns(guess)
    lines = ["columns:"]
    if name == "profiles":
        lines += [
            "  # every other column is a feature; these tell rows apart, or the label in other words:",
            f"  exclude: [{', '.join(quoted(name) for name in _no_features(guess, sensitive))}]",
            *_note_lines(guess),
        ]
    else:
        lines += [
            "  # few different values: features, as far as their past is known",
            f"  attributes: [{', '.join(quoted(c.name) for c in attributes)}]",
            *_note_lines(guess),
            "  # of the attributes, those that never change: name them; today's value of the others tells the future,",
            "  # and they are kept out until a table attribute_changes dates their changes",
            "  constant: []",
        ]
    return [
        *lines,
        "  # by their names or values: used to audit fairness, never as features",
        f"  sensitive: [{', '.join(quoted(c.name) for c in sensitive)}]",
    ]


def _note_lines(guess: TableGuess) -> list[str]:
    """What is said of columns whose names speak of a time after."""
    return [f"  # {comment(name)}: {comment(why)}" for name, why in outcome_notes(guess).items()]


def _no_features(guess: TableGuess, sensitive: list[Column]) -> list[str]:
    """Columns of a ready table that are names of rows, free text or dates, tell the label, or of the time ahead."""
    label = guess.column("label")
    spare = [c for c in guess.spare if c not in sensitive]
    told = tell_label(pd.DataFrame({c.name: c.values for c in (label, *spare)}), label.name) if label else []
    names = [c.name for c in spare if c.is_time or (c.is_row_name and not c.has_fractions)]
    return [c.name for c in spare if c.name in (*told, *names, *left_out(spare))]


def quoted(text: str) -> str:
    """A text as YAML reads it back, whatever it holds.

    >>> quoted("Invoice No"), quoted("No"), quoted("50%: x"), quoted("客户")
    ('Invoice No', '"No"', '"50%: x"', '"客户"')
    """
    if _SIMPLE.fullmatch(text) and text.lower() not in WORDS_OF_YAML:
        return text
    escaped = json.dumps(text, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in escaped)


def comment(text: object) -> str:
    """A text within a comment: it stays on its line."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))
