"""One person, one customer: several ids of a person across channels become one.

The table ``identities`` says which alias is whom, and since when that is known: ``customer_id, alias, source,
seen_at``.
Rows of an alias then belong to the person. They count from the moment on at which the alias was seen to be the
person's, never before: a link found in March changes nothing that could have been known in February.

Aliases can also be proposed, by the same e-mail or telephone number. A proposal is reported, never merged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path

import pandas as pd

from configs.errors import DataError
from configs.files import FileVersion, file_version, write_text
from features.quality.check import ValidatedTable
from features.sources.rows.ids import Repair, repair_ids
from features.tables import quote

CONTACT_COLUMNS = ("email", "phone")
MIN_DIGITS = 7
FILE, REPAIRS_FILE = "identities.parquet", "ids.json"


@dataclass(frozen=True)
class AliasMap:
    """The person behind each alias, and since when that is known (UTC without a zone); and how ids are repaired.

    `repairs` are those of the table of customers (`features.sources.rows.ids`): who asks may write an id as the files
    do. Rows of tables hold repaired ids already.

    Examples
    --------
    >>> alias_map = AliasMap({"web-7": "ann"}, {"web-7": pd.Timestamp("2024-02-20")})
    >>> alias_map.of(["web-7", "bob"]), alias_map.all_ids(["web-7", "bob"])
    (['ann', 'bob'], ['ann', 'bob', 'web-7'])
    """

    person: Mapping[str, str] = field(default_factory=dict)
    since: Mapping[str, pd.Timestamp] = field(default_factory=dict)
    repairs: tuple[Repair, ...] = ()

    def of(self, ids: Iterable[str]) -> list[str]:
        """The person behind each id; an id that is no alias is its own."""
        return [self.person.get(i, i) for i in self.repaired(ids)]

    def repaired(self, ids: Iterable[str]) -> list[str]:
        """Ids as the tables hold them."""
        return repair_ids(list(ids), self.repairs)

    def all_ids(self, ids: Iterable[str]) -> list[str]:
        """The persons behind these ids, which are as the tables hold them, with all their aliases, sorted."""
        persons = {self.person.get(i, i) for i in ids}
        return sorted(persons.union(alias for alias, person in self.person.items() if person in persons))

    def aliases(self) -> dict[str, list[str]]:
        """The aliases of each person who has one, sorted."""
        aliases: dict[str, list[str]] = {}
        for alias in sorted(self.person):
            aliases.setdefault(self.person[alias], []).append(alias)
        return aliases

    def assign_persons(self, rows: pd.DataFrame, time: str) -> pd.DataFrame:
        """Rows with a ``customer_id``, given to their persons; known no earlier than the alias was.

        Parameters
        ----------
        rows
            Rows of one table; it is not changed.
        time
            Name of the column that says when a row happened.
        """
        linked = rows["customer_id"].isin(list(self.person))
        if not linked.any():
            return rows
        seen = rows["customer_id"].map(self.since).astype("datetime64[us]")
        recorded = rows["recorded_at"].fillna(rows[time]) if "recorded_at" in rows else rows[time]
        return rows.assign(
            customer_id=rows["customer_id"].map(self.person).fillna(rows["customer_id"]),
            recorded_at=rows.get("recorded_at", seen).where(~linked, recorded.where(recorded > seen, seen)),
        )


NO_ALIASES = AliasMap()


def load_alias_map(tables: Path) -> AliasMap:
    """Who is whom, from the folder of the checked tables; nobody has an alias where there is no such table."""
    return _load(file_version(tables / FILE), file_version(tables / REPAIRS_FILE))


def write_repairs(tables: Path, repairs: Sequence[Repair]) -> None:
    """Keep beside the checked tables how the ids of their customers were repaired."""
    if repairs:
        write_text(tables / REPAIRS_FILE, json.dumps(list(repairs)))


@lru_cache(maxsize=8)
def _load(aliases: FileVersion | None, repairs: FileVersion | None) -> AliasMap:
    alias_map = NO_ALIASES
    if aliases:
        alias_map = alias_map_of(pd.read_parquet(aliases.path, columns=["customer_id", "alias", "seen_at"]))
    return replace(alias_map, repairs=tuple(json.loads(repairs.path.read_text("utf-8")))) if repairs else alias_map


def resolve_if_given(checked: Mapping[str, ValidatedTable]) -> dict[str, ValidatedTable]:
    """Give the rows of aliases to their persons, if the business has a table of identities."""
    return resolve(checked, checked["identities"].used) if "identities" in checked else dict(checked)


def resolve(checked: Mapping[str, ValidatedTable], identities: pd.DataFrame) -> dict[str, ValidatedTable]:
    """Give the rows of aliases to their persons.

    Parameters
    ----------
    checked
        The checked tables, by name.
    identities
        One row per alias: ``customer_id, alias, seen_at`` (UTC without a zone). An alias of an alias is followed to
        the person.

    Returns
    -------
    dict
        The same tables. A row of an alias carries the person's id and is known no earlier than ``seen_at``; the
        alias's own row among the customers goes to quarantine with the person named.

    Raises
    ------
    DataError
        An alias belongs to two persons, or aliases go round in a circle.
    """
    alias_map = alias_map_of(identities)
    others = {name: one for name, one in checked.items() if name not in ("identities", "customers")}
    out = {n: one.map_rows(partial(alias_map.assign_persons, time=one.table.time)) for n, one in others.items()}
    if "customers" not in checked:  # derived afterwards, from rows that are the persons' already
        return {**checked, **out}
    return {**checked, **out, "customers": _one_row_a_person(checked["customers"], alias_map.person)}


def propose_aliases(customers: pd.DataFrame) -> pd.DataFrame:
    """Find customers with the same e-mail or telephone number.

    E-mails are compared in lower case without what follows a ``+``; telephone numbers by their digits, from seven on,
    with a leading ``00`` read as ``+``.

    Parameters
    ----------
    customers
        One row a customer: ``customer_id, signed_up_at`` and ``email`` or ``phone`` or both.

    Returns
    -------
    pandas.DataFrame
        One row a proposal: ``customer_id`` (who signed up first), ``alias``, ``source`` (email or phone).

    Examples
    --------
    >>> signed_up = pd.to_datetime(["2024-01-01", "2024-02-01"])
    >>> customers = pd.DataFrame({"customer_id": ["1", "2"], "signed_up_at": signed_up,
    ...                           "email": ["Ann@x.org ", "ann+shop@X.org"]})
    >>> propose_aliases(customers).to_dict("records")
    [{'customer_id': '1', 'alias': '2', 'source': 'email'}]
    """
    proposals = [_same_contact(customers, name) for name in CONTACT_COLUMNS if name in customers]
    if not proposals:
        return pd.DataFrame(columns=["customer_id", "alias", "source"])
    return pd.concat(proposals, ignore_index=True).drop_duplicates(["customer_id", "alias"], ignore_index=True)


def alias_map_of(identities: pd.DataFrame) -> AliasMap:
    """The person behind each alias, and since when that is known; arguments and errors as of `resolve`."""
    twice = identities.groupby("alias")["customer_id"].nunique()
    if (twice > 1).any():
        raise DataError(f"identities: alias '{twice.idxmax()}' belongs to {twice.max()} customers; keep one of them")
    links = dict(zip(identities["alias"], identities["customer_id"], strict=True))
    seen = identities.groupby("alias")["seen_at"].min().to_dict()
    person, since = {}, {}
    for alias in links:
        passed, now, known = [alias], links[alias], seen[alias]
        while now in links:
            if now in passed:
                raise DataError(f"identities: {' -> '.join([*passed, now])} goes round in a circle; break it")
            passed, known, now = [*passed, now], max(known, seen[now]), links[now]
        person[alias], since[alias] = now, known
    return AliasMap(person, since)


def _one_row_a_person(one: ValidatedTable, person: Mapping[str, str]) -> ValidatedTable:
    aliases = one.used["customer_id"].isin(list(person))
    reasons = "customer_id: an alias of " + one.used.loc[aliases, "customer_id"].map(person).map(quote)
    aside = one.used[aliases].assign(reason=reasons)
    parts = [part for part in (one.quarantined, aside) if len(part)]
    persons = one.used[~aliases].reset_index(drop=True)
    return replace(one, used=persons, quarantined=pd.concat(parts, ignore_index=True) if parts else one.quarantined)


def _same_contact(customers: pd.DataFrame, name: str) -> pd.DataFrame:
    read = {"email": _email, "phone": _phone}[name]
    rows = customers.assign(key=customers[name].map(read, na_action="ignore")).dropna(subset=["key"])
    rows = rows.sort_values(["signed_up_at", "customer_id"], kind="stable")
    first = rows.groupby("key")["customer_id"].transform("first")
    pairs = pd.DataFrame({"customer_id": first, "alias": rows["customer_id"], "source": name})
    return pairs[pairs["customer_id"] != pairs["alias"]].reset_index(drop=True)


def _email(text: object) -> str | None:
    name, at, host = str(text).strip().lower().rpartition("@")
    return f"{name.partition('+')[0]}@{host}" if at and name and "." in host else None


def _phone(text: object) -> str | None:
    digits = re.sub(r"^00", "+", re.sub(r"[^\d+]", "", str(text)))
    return digits.lstrip("+") if len(digits.lstrip("+")) >= MIN_DIGITS else None
