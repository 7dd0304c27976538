"""One person, one customer: several ids of a person across channels become one.

The table ``identities`` says which alias is whom, and since when that is known: ``customer_id, alias, source,
seen_at``.
Rows of an alias then belong to the person. They count from the moment on at which the alias was seen to be the
person's, never before: a link found in March changes nothing that could have been told in February.

Aliases can also be proposed, by the same e-mail or telephone number. A proposal is reported, never merged.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

import pandas as pd

from configs.errors import DataError
from features.check import Checked

CONTACT_COLUMNS = ("email", "phone")
MIN_DIGITS = 7


def resolve_if_given(checked: Mapping[str, Checked]) -> dict[str, Checked]:
    """Give the rows of aliases to their persons, if the business has a table of identities."""
    return resolve(checked, checked["identities"].used) if "identities" in checked else dict(checked)


def resolve(checked: Mapping[str, Checked], identities: pd.DataFrame) -> dict[str, Checked]:
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
    person, since = _people(identities)
    out = {name: one if name == "identities" else _give(one, person, since) for name, one in checked.items()}
    return out | {"customers": _one_row_a_person(checked["customers"], person)}


def propose(customers: pd.DataFrame) -> pd.DataFrame:
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
    >>> people = pd.DataFrame({"customer_id": ["1", "2"], "signed_up_at": pd.to_datetime(["2024-01-01", "2024-02-01"]),
    ...                        "email": ["Ann@x.org ", "ann+shop@X.org"]})
    >>> propose(people).to_dict("records")
    [{'customer_id': '1', 'alias': '2', 'source': 'email'}]
    """
    found = [_same(customers, name) for name in CONTACT_COLUMNS if name in customers]
    if not found:
        return pd.DataFrame(columns=["customer_id", "alias", "source"])
    return pd.concat(found, ignore_index=True).drop_duplicates(["customer_id", "alias"], ignore_index=True)


def _people(identities: pd.DataFrame) -> tuple[dict[str, str], dict[str, pd.Timestamp]]:
    """The person behind each alias, and since when that is known."""
    twice = identities.groupby("alias")["customer_id"].nunique()
    if (twice > 1).any():
        raise DataError(f"identities: alias '{twice.idxmax()}' belongs to {twice.max()} customers; keep one of them")
    step = dict(zip(identities["alias"], identities["customer_id"], strict=True))
    seen = identities.groupby("alias")["seen_at"].min().to_dict()
    person, since = {}, {}
    for alias in step:
        passed, now, known = [alias], step[alias], seen[alias]
        while now in step:
            if now in passed:
                raise DataError(f"identities: {' -> '.join([*passed, now])} goes round in a circle; break it")
            passed, known, now = [*passed, now], max(known, seen[now]), step[now]
        person[alias], since[alias] = now, known
    return person, since


def _give(one: Checked, person: dict[str, str], since: dict[str, pd.Timestamp]) -> Checked:
    used = one.used
    linked = used["customer_id"].isin(list(person))
    if one.table.name == "customers" or not linked.any():
        return one
    seen = used["customer_id"].map(since).astype("datetime64[us]")
    recorded = used["recorded_at"].fillna(used[one.table.time]) if "recorded_at" in used else used[one.table.time]
    return dataclasses.replace(
        one,
        used=used.assign(
            customer_id=used["customer_id"].map(person).fillna(used["customer_id"]),
            recorded_at=used.get("recorded_at", seen).where(~linked, recorded.where(recorded > seen, seen)),
        ),
    )


def _one_row_a_person(one: Checked, person: dict[str, str]) -> Checked:
    aliases = one.used["customer_id"].isin(list(person))
    reasons = "customer_id: an alias of " + one.used.loc[aliases, "customer_id"].map(person)
    aside = one.used[aliases].assign(reason=reasons)
    parts = [part for part in (one.quarantined, aside) if len(part)]
    kept = one.used[~aliases].reset_index(drop=True)
    return dataclasses.replace(
        one, used=kept, quarantined=pd.concat(parts, ignore_index=True) if parts else one.quarantined
    )


def _same(customers: pd.DataFrame, name: str) -> pd.DataFrame:
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
