"""How a number is read that somebody wrote: SQL for DuckDB, put together and never run here.

A text may have thousands separators, a decimal comma, a currency before or behind it, a sign behind it, brackets for
minus. What it means is decided by the whole column: a value like ``12,30`` or ``1.234,5`` leaves no doubt of its
decimal sign, ``1,234`` and ``1.234`` alone do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from features.numbers.currencies import MINOR_UNITS, TOKEN
from features.sql import quote_literal

SPACE = r"[\s\x{00A0}\x{202F}]"
PREFIX = f"^([-+(]?){SPACE}*({TOKEN}){SPACE}*"
SUFFIX = f"{SPACE}*({TOKEN}){SPACE}*([-)]?)$"
PLAIN = r"^[-+]?[0-9]+([.,][0-9]*)?$"
SPACED = r"^[-+]?\d{1,3}([\s\x{00A0}\x{202F}'’]\d{3})+([.,]\d*)?$"
SPACES = r"[\s\x{00A0}\x{202F}'’]"
DIGITS = r"[-+]?[0-9][0-9.,]*"
SPACED_DIGITS = r"^[-+]?\d{1,3}([\s\x{00A0}\x{202F}'’]\d{3})+([.,]\d*)?"
WITH_SUFFIX, WITH_PREFIX = f"^{DIGITS}{SPACE}*{TOKEN}$", f"^{TOKEN}{SPACE}*{DIGITS}$"
WITH_SPACES = f"{SPACED_DIGITS}({SPACE}*{TOKEN})?$"
NO_WORD = r"\s\x{00A0}\x{202F}0-9.,'’+-"
WORD_BEFORE, WORD_BEHIND = rf"^[^{NO_WORD}]+\.?", rf"[^{NO_WORD}]+\.?$"  # the currency in texts of these forms
COMMA_SURE = r"^[-+]?(\d{1,3}(\.\d{3})+,\d*|\d+,(\d{0,2}|\d{4,})|,\d+|\d{4,},\d{3}|0+,\d{3}|\d{1,3}(\.\d{3}){2,})$"
POINT_SURE = (
    r"^[-+]?(\d{1,3}(,\d{3})+\.\d*|\d+\.(\d{0,2}|\d{4,})|\.\d+|\d{4,}\.\d{3}|0+\.\d{3}|\d{1,3}(,\d{3}){2,}"
    r"|\d{1,2}(,\d{2})+,\d{3}(\.\d*)?|[\d.]+[eE][-+]?\d+)$"
)
IN_DOUBT = r"^[-+]?[1-9]\d{0,2}[.,]\d{3}$"
COMMA_FORM = r"^[-+]?(\d+|\d{1,3}(\.\d{3})+)?(,\d*)?$"
POINT_FORM = r"^[-+]?(\d+|\d{1,3}(,\d{3})+|\d{1,2}(,\d{2})+,\d{3})?(\.\d*)?([eE][-+]?\d+)?$"
SIMPLE, SIMPLE_COMMA = r"^[-+]?[0-9]{1,15}(\.[0-9]*)?$", r"^[-+]?[0-9]{1,15}(,[0-9]*)?$"
SIMPLE_POINT = r"^[-+]?[0-9]+(\.[0-9]{0,2})?$"
PLACEHOLDERS = (  # what people and programs write where nothing is known
    "n/a", "na", "n.a.", "n.a", "#n/a", "#n/v", "#nv", "nan", "null", "none", "nil", "\\n", "-", "--", "---", "–", "—",
    "?", ".", "#value!", "#wert!", "#valeur!", "#div/0!", "#ref!", "#bezug!", "unknown", "unbekannt", "inconnu",
    "desconocido", "k.a.", "k. a.", "keine angabe", "nc", "n.c.", "s/d", "sin dato", "not available", "missing",
    "undefined", "未知", "不详", "无", "暂无",
)  # fmt: skip


@dataclass(frozen=True)
class SignEvidence:
    """What the texts of a column tell of its decimal sign.

    Attributes
    ----------
    commas, points
        Values that have a decimal comma for sure, and a decimal point.
    in_doubt
        Values that may have a decimal sign or a thousands separator.
    example
        One of these; None if there is none.
    factor_of
        The number that they multiply or divide, whose decimal sign is declared for both; None of texts of their own.
    """

    commas: int
    points: int
    in_doubt: int
    example: str | None
    factor_of: str | None = None

    @property
    def sign(self) -> str:
        """The decimal sign: ``,`` or ``.``, ``mixed`` where both stand, ``none`` where nothing tells.

        >>> SignEvidence(0, 3, 1, "1,053").sign
        '.'
        """
        return "mixed" if self.commas and self.points else "," if self.commas else "." if self.points else "none"


def evidence_sql(text: str) -> str:
    """Aggregates over a column of texts, the first four of `SignEvidence`.

    >>> import duckdb
    >>> rows = "(values ('12.30'), ('1,053 EUR'), ('N/A')) as t(x)"
    >>> SignEvidence(*duckdb.sql(f"select {evidence_sql('x')} from {rows}").fetchone())
    SignEvidence(commas=0, points=1, in_doubt=1, example='1,053', factor_of=None)
    """
    clean = clean_sql(text)
    simple = _matches(clean, SIMPLE_POINT)  # most are, and nothing else needs to be asked of them
    commas, points = (f"case when {simple} then {then} else {_matches(clean, sure)} end" for then, sure in (
        ("false", COMMA_SURE), (f"contains({clean}, '.')", POINT_SURE)
    ))  # fmt: skip
    doubt = f"case when {simple} then null when {_matches(clean, IN_DOUBT)} then {clean} end"
    return f"count_if({commas}), count_if({points}), count({doubt}), min({doubt})"


def clean_sql(text: str) -> str:
    """SQL for the text of a number without currency, and without spaces between its thousands.

    What most texts look like is told by one match each, at a tenth of what taking any text apart costs.
    """
    x = f"trim({text})"
    bare = f"translate({x}, chr(8722), '-')"
    bare = f"regexp_replace({bare}, {quote_literal(PREFIX)}, '\\1')"
    bare = f"regexp_replace({bare}, {quote_literal(SUFFIX)}, '\\2')"
    bare = f"regexp_replace(regexp_replace({bare}, '^\\((.*)\\)$', '-\\1'), '^([0-9].*)-$', '-\\1')"
    closed = f"regexp_replace({bare}, {quote_literal(SPACES)}, '', 'g')"
    any_text = f"case when regexp_matches({bare}, {quote_literal(SPACED)}) then {closed} else {bare} end"
    thousands = f"regexp_replace(regexp_extract({x}, {quote_literal(SPACED_DIGITS)}), {quote_literal(SPACES)}, '', 'g')"
    return (
        f"(case when regexp_matches({text}, {quote_literal(PLAIN)}) then {text} "
        f"when {_matches(x, WITH_SUFFIX)} then regexp_extract({x}, {quote_literal('^' + DIGITS)}) "
        f"when {_matches(x, WITH_PREFIX)} then regexp_extract({x}, {quote_literal(DIGITS + '$')}) "
        f"when {_matches(x, WITH_SPACES)} then {thousands} else {any_text} end)"
    )


def _matches(text: str, form: str) -> str:
    return f"regexp_matches({text}, {quote_literal(form)})"


def value_sql(clean: str, sign: str, declared: bool = False) -> str:
    """SQL for the number that a text of `clean_sql` is, null where it is none.

    Parameters
    ----------
    clean
        SQL of the text.
    sign
        The decimal sign of the column, as `SignEvidence.sign` has it.
    declared
        The sign was not found, but is given for the values in doubt: the others are read as they leave no doubt.
    """
    point, comma = _read_as(clean, POINT_FORM, ",", ""), _read_as(clean, COMMA_FORM, ".", ",")
    if sign != "mixed" and not declared:
        simple = (SIMPLE_COMMA, f"replace({clean}, ',', '.')") if sign == "," else (SIMPLE, clean)
        number = f"try_cast({simple[1]} as double)"  # most are, and a third of the work
        return f"case when {_matches(clean, simple[0])} then {number} else {comma if sign == ',' else point} end"
    sure = [(COMMA_SURE, comma), (POINT_SURE, point)]
    cases = " ".join(f"when regexp_matches({clean}, {quote_literal(form)}) then {value}" for form, value in sure)
    return f"case {cases} else {comma if sign == ',' else point} end"


def is_placeholder_sql(text: str) -> str:
    """SQL that is true where a text says that nothing is known, as ``N/A`` does; none of these begins with a digit."""
    form = f"^({'|'.join(map(re.escape, PLACEHOLDERS))})$"  # `in` would become a join of every row
    said = _matches(f"lower(trim({text}))", form)
    return f"(case when {text} >= '0' and {text} < ':' then false else {said} end)"


def tokens_sql(text: str) -> Sequence[str]:
    """SQL for the currency before a number and for the one behind it, empty where none stands."""
    x, before, behind = f"trim({text})", quote_literal(WORD_BEFORE), quote_literal(WORD_BEHIND)
    plain, prefixed = _matches(text, PLAIN), _matches(x, WITH_PREFIX)
    suffixed = f"{_matches(x, WITH_SUFFIX)} or {_matches(x, WITH_SPACES)}"
    return (
        f"(case when {plain} or {suffixed} then '' when {prefixed} then regexp_extract({x}, {before}) "
        f"else regexp_extract({x}, {quote_literal(PREFIX)}, 2) end)",
        f"(case when {plain} or {prefixed} then '' when {suffixed} then regexp_extract({x}, {behind}) "
        f"else regexp_extract({x}, {quote_literal(SUFFIX)}, 1) end)",
    )


def minor_units_sql(currency: str) -> str:
    """SQL for how many of its smallest units make one unit of a currency: a hundred, but for some.

    >>> import duckdb
    >>> duckdb.sql(f"select {minor_units_sql('x')} from (values ('EUR'), ('JPY'), (null)) t(x)").fetchall()
    [(100,), (1,), (100,)]
    """
    cases = " ".join(f"when {quote_literal(code)} then {units}" for code, units in MINOR_UNITS.items())
    return f"(case {currency} {cases} else 100 end)"


def _read_as(clean: str, form: str, thousands: str, decimal: str) -> str:
    digits = f"replace({clean}, '{thousands}', '')"
    with_point = f"replace({digits}, '{decimal}', '.')" if decimal else digits
    finite = f"try_cast({with_point} as double)"
    return f"case when regexp_matches({clean}, {quote_literal(form)}) and isfinite({finite}) then {finite} end"
