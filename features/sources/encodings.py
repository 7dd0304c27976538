"""In which encoding a file of text is: told by the bytes where they leave no doubt, else a question.

What is not UTF-8 could be read in many ways, all of them without an error: ``王芳`` in GB18030 is ``Íõ·¼`` in
Windows-1252. So every usual encoding is tried, and each reading is scored by how much it looks like words that people
write: letters of one script in a word, capitals only where words begin, the accented letters of one language, the
common characters of Chinese, Japanese or Korean. One reading far ahead of all others is taken. Several that say the
same text are one reading. Otherwise nothing is taken: who knows the file says `encoding`.

(charset-normalizer was tried first: on files of short names it is sure of Windows-1250 for German and of GB18030 for
Russian.)
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

CANDIDATES = (
    "cp1252", "cp1250", "cp1254", "cp1251", "koi8-r", "cp866", "cp1253", "cp1255", "cp1256", "iso8859-2", "mac-roman",
    "cp850", "gb18030", "big5", "cp932", "euc-jp", "cp949",
)  # fmt: skip
LANGUAGES = tuple(
    frozenset(letters)
    for letters in (
        "äöüß", "àâæçéèêëîïôœùûüÿ", "áéíóúñüçàèòï", "áâãàçéêíóôõúü", "àèéìíîòóùú", "áéèëïíóöüú", "åäöæøéü",
        "áðéíóúýþæö",
        "ąćęłńóśźż", "áäčďéěíĺľňóôŕřšťúůýž", "áéíóöőúüű", "čćđšž", "ăâîșțşţ", "çğıöşüâîû",
        "абвгдежзийклмнопрстуфхцчшщъыьэюяё", "абвгдежзийклмнопрстуфхцчшщьюяіїєґў", "абвгдежзиклмнопрстуфхцчшђјљњћџ",
    )
)  # fmt: skip
ASIAN = {
    "gb18030": ("gb2312", 0xB0, 0xD7),
    "big5": ("big5", 0xA4, 0xC6),
    "cp949": ("euc-kr", 0xB0, 0xC8),
} | dict.fromkeys(
    ("cp932", "euc-jp"), ("euc-jp", 0xB0, 0xCF)
)  # where a national standard keeps its common characters: a charset, and the first and the last lead byte of them
COMMON = 0.8  # in texts, at least this share of the characters is of the common ones
SURE, OUT = 0.9, 0.75
MOST_WORDS = 5_000
JAPANESE, FEW_WORDS = ("cp932", "euc-jp"), 30  # so many words of Japanese are not without kana
FINAL = "ςךםןףץ"  # letters that only end a word
WORD = "[^\x00-/:-@\\[-`{-\x7f\xa0\u202f\u3000]+"  # letters, digits, and all beyond ASCII but blanks
SIGNS = "€£¥§°²³½¼¾×±µ©®™•·…"


@dataclass(frozen=True)
class Reading:
    """How text reads in one encoding.

    Its name in Python, a score from 0 to 1, some words beyond ASCII, and the share of them that could be words: a
    loanword in another language's letters (``Rosé`` beside ``Weiß``) is likelier than a word of two scripts.
    """

    encoding: str
    score: float
    examples: tuple[str, ...]
    looks: float = 0.0


def readings(raw: bytes) -> list[Reading]:
    """Every way to read some text that is not UTF-8, the likeliest first; of those that say the same, one."""
    found: dict[str, Reading] = {}
    for encoding in CANDIDATES:
        text = raw.decode(encoding, "replace")
        if text not in found:
            found[text] = _reading(encoding, text)
    return sorted(found.values(), key=lambda reading: -reading.score * reading.looks)


def sure_reading(found: Sequence[Reading]) -> Reading | None:
    """The reading that leaves no doubt; None if there is none."""
    far_ahead = bool(found) and found[0].score >= SURE and (len(found) == 1 or found[1].score < OUT)
    return found[0] if far_ahead else None


def question(found: Sequence[Reading]) -> str:
    """What to ask where no reading is sure: the likely ones, each with words as it has them."""
    likely = [reading for reading in found if reading.score and reading.score >= found[0].score / 2][:4]
    ways = " or ".join(f"`encoding: {r.encoding}` if it says {', '.join(map(repr, r.examples))}" for r in likely)
    return f"it is not UTF-8, and its encoding is not sure: give {ways or '`encoding`'}, or export it again as UTF-8"


def _reading(encoding: str, text: str) -> Reading:
    words = [w for w in dict.fromkeys(re.findall(WORD, text)) if not w.isascii()][:MOST_WORDS]
    if not words:  # blanks that do not break a line
        return Reading(encoding, 1.0, (next(iter(re.findall(r"\S*\xa0\S*", text)), "")[:20],), 1.0)
    letters = Counter(letter for letter in "".join(words).lower() if letter.isalpha() and not letter.isascii())
    looks = sum(map(_is_word, words)) / len(words)
    usual = _common_share(letters, encoding) if encoding in ASIAN else _language_share(letters)
    if encoding in JAPANESE and len(words) >= FEW_WORDS and not any(map(_is_kana, letters)):
        usual /= 2
    return Reading(encoding, looks * usual, tuple(word[:20] for word in words[:2]), looks)


def _is_word(word: str) -> bool:
    """Whether these letters and signs could be one word: of one script, without a sign or a capital letter inside."""
    if re.search("[0-9][^\x00-\x7f]", word) and any(
        a.isdigit() and b.isalpha() and not (b.isascii() or _is_asian(b)) for a, b in pairwise(word)
    ):
        return False  # as 1 234 in another encoding
    word = re.sub("[0-9]", "", word)
    if all(letter in SIGNS for letter in word):
        return True
    if len(word) == 1 and word.isupper():
        return False
    letters = re.sub("^[«»“”„‘’‚‹›–—…¿¡°•©]+|[«»“”‘’‹›–—…®™ªº°•€]+$", "", word)
    if not all(
        letter.isalpha() or unicodedata.combining(letter) or _is_asian(letter) or letter in "’·" for letter in letters
    ):
        return False
    scripts = {_script(letter) for letter in letters if not letter.isascii() and letter not in "’·"} - {"COMBINING"}
    has_latin = any(letter.isascii() for letter in letters)
    if len(scripts) > 1 or (has_latin and not scripts <= {"LATIN", "CJK"}):
        return False
    return not any(
        (a.islower() and b.isupper() and a != "ß" and not (a + b).isascii())
        or (a in FINAL and b.isalpha())
        or (_is_asian(a) and "a" <= b <= "z")
        for a, b in pairwise(letters)
    )


def _script(letter: str) -> str:
    return "CJK" if _is_asian(letter) else unicodedata.name(letter, "?").split()[0]


def _is_asian(letter: str) -> bool:
    """Whether a character is Chinese, Japanese or Korean, their punctuation included."""
    return "\u3000" <= letter <= "\u9fff" or "\uac00" <= letter <= "\ud7a3" or "\uff01" <= letter <= "\uff5e"


def _is_kana(letter: str) -> bool:
    return "\u3041" <= letter <= "\u30ff"


def _language_share(letters: Counter[str]) -> float:
    """Share of the letters that one language has, the best one; scripts of one language each are taken as they are."""
    known = Counter({letter: n for letter, n in letters.items() if _script(letter) in ("LATIN", "CYRILLIC")})
    if not known:
        return 1.0
    return max(sum(n for letter, n in known.items() if letter in own) for own in LANGUAGES) / known.total()


def _common_share(letters: Counter[str], encoding: str) -> float:
    """Share of the characters that are common ones in their language, over the share that texts have at least."""
    charset, first, last = ASIAN[encoding]
    common = sum(n for letter, n in letters.items() if _is_common(letter, charset, first, last))
    return min(1.0, common / COMMON / max(letters.total(), 1))


def _is_common(letter: str, charset: str, first: int, last: int) -> bool:
    if charset == "euc-jp" and _is_kana(letter):
        return True
    encoded = letter.encode(charset, "ignore")
    return len(encoded) == 2 and first <= encoded[0] <= last
