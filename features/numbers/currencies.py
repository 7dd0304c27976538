"""Names of currencies: codes of ISO 4217, and the signs and words that stand for them."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ISO_4217 = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF "
    "CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD "
    "HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL "
    "LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR "
    "PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP "
    "TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG"
)
CODES = frozenset(_ISO_4217.split())
SIGNS = {
    "€": "EUR", "£": "GBP", "₹": "INR", "₽": "RUB", "₺": "TRY", "₩": "KRW", "₴": "UAH", "₫": "VND", "₪": "ILS",
    "฿": "THB", "₦": "NGN", "₱": "PHP", "₸": "KZT", "元": "CNY", "円": "JPY", "zł": "PLN", "Kč": "CZK", "Ft": "HUF",
    "лв": "BGN", "руб": "RUB", "R$": "BRL", "US$": "USD", "A$": "AUD", "AU$": "AUD", "C$": "CAD", "CA$": "CAD",
    "HK$": "HKD", "NZ$": "NZD", "S$": "SGD", "NT$": "TWD", "Fr": "CHF", "SFr": "CHF", "euro": "EUR", "euros": "EUR",
    "JP¥": "JPY", "CN¥": "CNY", "RMB": "CNY", "人民币": "CNY", "美元": "USD", "欧元": "EUR",
}  # fmt: skip
SHARED_SIGNS = {  # one sign, several currencies: the business's own or the column's, if it is among them
    "$": ("USD", "CAD", "AUD", "NZD", "MXN", "ARS", "CLP", "COP", "HKD", "SGD", "TWD"),
    "¥": ("JPY", "CNY"),
    "￥": ("JPY", "CNY"),
    "kr": ("SEK", "NOK", "DKK", "ISK"),
}
WORDS = sorted({*CODES, *SIGNS, *SHARED_SIGNS}, key=lambda word: (-len(word), word))
TOKEN = "(?:(?i:" + "|".join(map(re.escape, WORDS)) + r")\.?)"
MINOR_UNITS = {  # how many make one unit, where they are not a hundred
    "BIF": 1, "CLP": 1, "DJF": 1, "GNF": 1, "ISK": 1, "JPY": 1, "KMF": 1, "KRW": 1, "PYG": 1, "RWF": 1, "UGX": 1,
    "VND": 1, "VUV": 1, "XAF": 1, "XOF": 1, "XPF": 1,
    "BHD": 1000, "IQD": 1000, "JOD": 1000, "KWD": 1000, "LYD": 1000, "OMR": 1000, "TND": 1000,
}  # fmt: skip
NAMES = re.compile(  # of columns that tell a currency
    r"(?i)(?:^|[\W_])(currenc(y|ies)|ccy|währung|waehrung|devise|monnaie|moneda|divisa|valuta|waluta|moeda|货币|币种|通貨)"
    r"|((?<!con)currency(code)?|währung|waehrung)$"
)
_BY_WORD = {word.casefold(): word for word in WORDS}


def currency_of(text: str) -> str | None:
    """The code of ISO 4217 that a text stands for; a sign of several currencies stays as it is; None: none.

    >>> currency_of("€"), currency_of(" usd "), currency_of("Fr."), currency_of("$"), currency_of("pcs")
    ('EUR', 'USD', 'CHF', '$', None)
    """
    word = _BY_WORD.get(text.strip().casefold()) or _BY_WORD.get(text.strip().rstrip(".").casefold())
    return None if word is None else SIGNS.get(word, word)


def agree(first: str, second: str) -> bool:
    """Whether two names may mean one currency: a code, and a sign that stands for it among others.

    >>> agree("$", "CAD"), agree("EUR", "CAD")
    (True, False)
    """
    return first == second or second in SHARED_SIGNS.get(first, ()) or first in SHARED_SIGNS.get(second, ())


def are_currencies(texts: Iterable[str]) -> bool:
    """Whether texts are codes of ISO 4217, one at least, and nothing else.

    >>> are_currencies(["EUR", "usd"]), are_currencies(["EUR", "ALL", "new"]), are_currencies([])
    (True, False, False)
    """
    found = {text.strip().upper() for text in texts}
    return bool(found) and found <= CODES
