"""Names of columns that speak of a time after the table's own, in English, German, French, Spanish and Chinese.

A column of what came is no feature: a model that reads it knows the answer. A name alone is never sure, so that each
reading says with which words it was made, and where the same words are used of the days before, it is a doubt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from features.labels.label_column import CHURN
from features.sources.rows.meaning import normalized

_DAYS = {  # lengths of units, by what they are called
    1: "d day days tag tage tagen j jour jours dia dias 天 日",
    7: "w week weeks wk wks woche wochen semaine semaines semana semanas 周 星期",
    365.25 / 12: "m mo mon mth mths month months monat monate monaten mois mes meses 个月 月",
    365.25 / 4: "quarter quarters quartal quartale quartalen trimestre trimestres 季度 季",
    365: "y yr yrs year years jahr jahre jahren an ans annee annees ano anos 年",
}
ONE = "day tag jour dia week woche semaine semana month monat mes quarter quartal trimestre year jahr an annee ano"
ROMANCE = "j jours? dias? semaines? semanas? mois mes meses trimestres? ans? annees? anos?"
DAYS_OF = {word: days for days, words in _DAYS.items() for word in words.split()}
MOST_DAYS = 3660
NUMBERS = "one two three six nine twelve drei sechs neun zwolf zwoelf trois neuf douze tres seis doce"
FOLLOWING = (
    r"next|following|future|subsequent|upcoming|coming|nachst\w*|naechst\w*|folgend\w*|nachfolgend\w*|kommend\w*|"
    r"kunftig\w*|kuenftig\w*|suivante?s?|prochaine?s?|futurs?|futures|a venir|siguientes?|proxim[oa]s?|futur[oa]s?|"
    r"venider[oa]s?"
)
FUTURE = (  # without a span
    r"future|futurs?|(?<=\w )futures|futur[oa]s?|kunftig\w*|kuenftig\w*|zukunft\w*|zukuenft\w*|nachfolgend\w*|"
    r"subsequent|thereafter|afterwards?|danach|ulterieure?s?|a venir|venider[oa]s?|"
    r"folge(monat|jahr|quartal|woche|zeitraum)e?[ns]?"
)
AFTER = r"after|(?<!pay )later|post|nach|danach|spater|spaeter|apres|plus tard|despues|mas tarde|tras"
WITHIN = (
    r"(?<!logged )(?<!log )(?<!signed )(?<!sign )(?<!checked )(?<!check )(?<!opted )(?<!opt )(?<!locked )(?<!lock )in|"
    r"within|innerhalb|innerhalb von|binnen|sous|dans|dans les|en los|en les|dentro de"
)
# The short words of French and Spanish are others elsewhere: the first letter of a plan, an article, a code of English.
TO = r"(?<!plan )(?<!forfait )(?<!contrat )(?<!contrato )(?<!abonnement )(?<!engagement )(?<!tarif )(?<!tarifa )a"
PAST = (
    r"last|past|previous|prev|prior|preceding|trailing|recent|since|ago|before|histor\w*|to date|ytd|rolling|letzt\w*|"
    r"vergangen\w*|vorig\w*|vorherig\w*|bisher\w*|zuruckliegend\w*|vor|seit|dernier\w*|passee?s?|precedent\w*|depuis|"
    r"avant|ultim[oa]s?|pasad[oa]s?|anterior(es)?|previ[oa]s?|hace|desde|antes"
)
TOLD = (
    r"will|wird|predict\w*|forecast\w*|prognos\w*|vorhersag\w*|vorhergesagt\w*|previsions?|prevision(es)?|predictions?|"
    r"pronostic\w*|predich[oa]s?|prediccion(es)?"
)
_WORDS = "|".join(sorted((word for word in DAYS_OF if word.isascii()), key=len, reverse=True))
_NUMBER = rf"(?:\d+|{'|'.join(NUMBERS.split())})"
_IN_ROMANCE = "|".join(ROMANCE.split())
_SPAN = rf"{_NUMBER} (?:{_WORDS})"
_CHINESE = rf"(?:[\d一二两三四五六七八九十半]+)(?:{'|'.join(w for w in DAYS_OF if not w.isascii())})"


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)")


_FOLLOWS = _words(rf"(?:\d+ )?(?:{FOLLOWING}) (?:{_SPAN}|{_WORDS})|{_SPAN} (?:{FOLLOWING})")
_STEP = re.compile(r"(?<![^\W\d_])[tmdjq] ?(?:\+|plus) ?\d+")
_FUTURE = _words(rf"{FUTURE}|{_SPAN} (?:{AFTER})$|(?:after|despues|apres)$")
_PAST = _words(PAST)
_TOLD = _words(TOLD)
_IN_DOUBT = _words(
    rf"(?:{WITHIN}|{AFTER}) {_SPAN}|{TO} {_NUMBER} (?:{_IN_ROMANCE})|en {_NUMBER} (?:{_IN_ROMANCE}|[dm])|"
    rf"{_SPAN} (?:{AFTER})|next (?:order|purchase|sale)"
)
_ONLY_SPAN = _words(_SPAN)
_CHINESE_PAST = re.compile(r"过去|最近|近|前|历史|以往|截至|累计|以来|上次|上一?个?[月周季年]")
_CHINESE_AHEAD = re.compile(
    rf"(?:未来|将来|今后|往后|接下来|下一?个?(?=[月周季年]))(?:{_CHINESE}|[月周季年])?|{_CHINESE}[之以]?后|"
    rf"后{_CHINESE}|明年|次月|次年|之后|此后|后续|随后"
)
_CHINESE_TOLD = re.compile("预测|预计|预估|将会|将要|即将|是否将")
_CHINESE_DOUBT, _CHINESE_SPAN = re.compile(rf"{_CHINESE}[之以]?内"), re.compile(_CHINESE)
_NUMBER_IN_WORDS = re.compile(rf"(?:{'|'.join(NUMBERS.split())})(?!\w)|[一二两三四五六七八九十半]")
_PARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")

Kind = Literal["ahead", "outcome", "doubt", "span"]


@dataclass(frozen=True)
class TimeTold:
    """What a name says of time.

    Attributes
    ----------
    kind
        ``ahead``: of what came after; ``outcome``: of who leaves, or of a forecast; ``doubt``: a span of time that may
        lie before or after; ``span``: a span and nothing else, of the days before as a rule.
    words
        The part of the name that says it.
    days
        Length of the span, within ten years; None: there is none.
    """

    kind: Kind
    words: str
    days: int | None = None

    @property
    def is_asked(self) -> bool:
        """Whether a feature of that name is asked about before anything is learned from it."""
        return self.kind != "span"

    @property
    def text(self) -> str:
        """The reading in words."""
        said = {
            "ahead": "is of what came after",
            "outcome": "is of who leaves, or of a forecast",
            "doubt": "may be of the days before or of those after",
            "span": "is of the days before, or of those after",
        }
        return f"its name ('{self.words}') {said[self.kind]}"


def time_told(name: str) -> TimeTold | None:
    """What a column's name says of the time that it is about; None: nothing, or that it lies in the past.

    Examples
    --------
    >>> names = ("donated_next_90_days", "Umsatz in 90 Tagen", "will_churn_prob", "spend_90d", "letzte 90 Tage")
    >>> [told.kind if (told := time_told(name)) else None for name in names]
    ['ahead', 'doubt', 'outcome', 'span', None]
    >>> time_told("未来3个月消费"), time_told("next_bill_day"), time_told("过去90天消费")
    (TimeTold(kind='ahead', words='未来3个月', days=91), None, None)
    """
    step = _STEP.search(normalized(name))
    if step:
        return TimeTold("ahead", step.group())
    text = re.sub(r"[\W_]+", " ", normalized(_PARTS.sub(" ", name))).strip()
    unspaced = re.sub(r"(?<!\d) | (?!\d)", "", text)
    if found := _FOLLOWS.search(text):
        return _told("ahead", found)
    if _PAST.search(text) or _CHINESE_PAST.search(unspaced):
        return None
    order: tuple[tuple[Kind, re.Pattern[str], re.Pattern[str]], ...] = (
        ("ahead", _FUTURE, _CHINESE_AHEAD),
        ("outcome", _TOLD, _CHINESE_TOLD),
        ("doubt", _IN_DOUBT, _CHINESE_DOUBT),
    )
    readings = ((kind, own.search(text) or chinese.search(unspaced)) for kind, own, chinese in order)
    if told := next((_told(kind, found) for kind, found in readings if found), None):
        return told
    if word := next((word for word in CHURN if _says(text, unspaced, word)), None):
        return TimeTold("outcome", word)
    span = _ONLY_SPAN.search(text) or _CHINESE_SPAN.search(unspaced)
    return _told("span", span) if span else None


def _says(text: str, unspaced: str, word: str) -> bool:
    return any(own.startswith(word) for own in text.split()) if word.isascii() else word in unspaced


def _told(kind: Kind, found: re.Match[str]) -> TimeTold:
    """A reading with the length of its span."""
    days = _days(found.group())
    return TimeTold(kind, found.group(), days if days and 1 <= days <= MOST_DAYS else None)


def _days(words: str) -> int | None:
    """By the number beside a unit, or, of several units, the one before the word that says that they follow.

    >>> _days("2019 next 12 months"), _days("90 prochains jours"), _days("2017 next month"), _days("next two months")
    (365, 90, 30, None)
    """
    parts = re.findall(r"\d+|[^\W\d_]+", words)
    units = [(place, days) for place, part in enumerate(parts) if (days := _unit(part))]
    beside = next(((int(parts[i - 1]), days) for i, days in units if i and parts[i - 1].isdecimal()), None)
    if beside:
        return round(beside[0] * beside[1])
    if not units or _NUMBER_IN_WORDS.search(words):
        return None
    place, days = units[0]
    before = next((int(part) for part in parts[:place] if part.isdecimal()), 1)
    return round(days * (1 if parts[place] in ONE.split() else before))


def _unit(part: str) -> float | None:
    """Days of a unit; of Chinese, which has no spaces, of the unit within the part."""
    return DAYS_OF.get(part) or next((d for word, d in DAYS_OF.items() if not word.isascii() and word in part), None)
