"""Which names say which column of a table: concepts of a name, and how sure they make it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from features.sources.proposal.columns import Column
from features.sources.rows.meaning import normalized

PATTERNS: Mapping[str, str] = {  # field: concepts joined by + and how sure a name that says no more than them makes it
    "order_id": "order+id 1, order 0.9, id 0.6, financial+id 0.59, financial+order+id 0.9",
    "customer_id": "customer+id 1, customer 0.9, id 0.45",
    "ordered_at": "order+date 1, order+created 1, booked 1, booked+date 1, order+booked+date 1, created+date 0.9,"
    "created 0.9, date 0.9, order+date+created 1, arrival 0.5, arrival+date 0.5,"
    "financial+date 0.8",
    "amount": "order+amount 1, amount 0.9, amount+cents 0.9, financial+amount 0.8",
    "quantity": "quantity 1, quantity+order 0.9, quantity+product 0.9",
    "channel": "channel 1",
    "category": "category 1, product+category 1",
    "discount": "discount 1, discount+amount 1, discount+order 0.9",
    "recorded_at": "recorded 1, recorded+date 1, booked 0.5, booked+date 0.5",
    "signed_up_at": "signup 1, signup+date 1, customer+signup 1, customer+signup+date 1, customer+created 0.9,"
    "created+date 0.9, created 0.9, customer+created+date 0.9, start+date 0.7, start 0.7, contract+start 0.6,"
    "contract+start+date 0.6, date 0.5",
    "interaction_id": "interaction+id 1, interaction 0.8, id 0.6, mailing+id 0.6",
    "occurred_at": "interaction+date 1, created+date 0.9, created 0.9, date 0.9, mailing+date 0.7, start+date 0.5,"
    "redeem+date 0.8",
    "kind": "kind 1, interaction+kind 1, category 0.7, interaction 0.5",
    "value": "score 1, interaction+score 1",
    "contact_id": "mailing+id 1, mailing 0.8, sent+id 0.8, id 0.6, campaign+mailing+id 1",
    "contacted_at": "sent 1, sent+date 1, mailing+date 1, date 0.9, created 0.7, created+date 0.7, start+date 0.6",
    "campaign": "campaign 1, campaign+id 0.9, campaign+name 1",
    "arm": "arm 1, arm+campaign 0.9",
    "cost": "cost 1, mailing+cost 1",
    "redeemed_at": "redeem 1, redeem+date 1",
    "subscription_id": "contract+id 1, contract 0.9, id 0.6, plan+id 0.5",
    "started_at": "start 1, start+date 1, contract+start 1, contract+start+date 1, signup 0.7, signup+date 0.7,"
    "created 0.6, created+date 0.6, contract+date 0.6, contract+signup+date 0.9, date 0.4",
    "ended_at": "end 1, end+date 1, contract+end 1, contract+end+date 1, cancel+end 0.9, cancel+end+date 0.9",
    "cancelled_at": "cancel 1, cancel+date 1, contract+cancel 1, contract+cancel+date 1, notice 1, notice+date 1,"
    "cancel+notice 1, cancel+notice+date 1, end+notice 1, end+notice+date 1, cancel+request 1, cancel+request+date 1,"
    "end+request 1, end+request+date 1, end+interaction 0.9, end+interaction+date 0.9, cancel+interaction 0.9",
    "renews_at": "renew 1, renew+date 1, contract+renew 1, contract+renew+date 1, next+renew 1,next+renew+date 1",
    "paid_until": "amount+end 1, amount+end+date 1, period+end 1, period+end+date 1, contract+period+end 1,"
    "fee+amount+end 1, next+financial 0.8, next+financial+date 0.8, next+order+date 0.7, next+fee+date 0.7",
    "cancel_at_period_end": "cancel+date+period+end 1, cancel+period+end 1, date+period+end 0.9,"
    "contract+cancel+period+end 1",
    "trial_ends_at": "trial+end 1, trial+end+date 1, period+trial+end 1, test+end 0.9, test+end+date 0.9,"
    "period+test+end 0.9, period+test+end+date 0.9",
    "paused_at": "pause 1, pause+date 1, pause+start 0.9, pause+start+date 0.9",
    "resumes_at": "resume 1, resume+date 1, pause+end 0.9, pause+end+date 0.9",
    "status": "status 1, contract+status 1",
    "plan": "plan 1, contract+plan 1, plan+name 1, product+plan 0.9, contract+kind 0.8, plan+kind 1, plan+id 0.6",
    "price_per_month": "price_month 1, month+amount 1, month+fee 1, month+plan 1, plan+amount 0.5,"
    "contract+amount 0.5, fee 0.5,"
    "amount 0.5",
    "change_id": "change+id 1, change 0.8, id 0.6",
    "changed_at": "change+date 1, change 0.9, date 0.7",
    "attribute": "attribute 1, attribute+name 1",
    "label": "label 1, label+flag 1, label+customer 1, end 0.7, cancel 0.7, end+customer 0.7, cancel+customer 0.7",
    "realised_value": "next+period+amount 0.5",  # as a rule its name tells of a time ahead, see `time_in_names`
    "exported_at": "export 1, export+date 1",
}
BY_CONTENT = 0.3
_NO_PERIOD = frozenset(("pause", "resume", "trial", "test", "birth"))
_NO_ID = frozenset(("city", "age", "birth", "sex", "amount", "quantity", "month", "income", "date", "discount"))
EXCLUDED: Mapping[str, frozenset[str]] = {  # concepts of a name that is none of this field's, whatever else it says
    "started_at": _NO_PERIOD | {"cancel", "notice", "end", "renew", "request", "minimum", "next", "amount"},
    "ended_at": _NO_PERIOD | {"start", "notice", "renew", "request", "minimum", "next", "amount"},
    "cancelled_at": _NO_PERIOD | {"minimum", "next", "order"},
    "renews_at": _NO_PERIOD | {"start", "cancel", "notice", "request", "minimum"},
    "paid_until": _NO_PERIOD | {"start", "cancel", "notice", "request", "minimum"},
    "trial_ends_at": frozenset(("start", "pause")),
    "paused_at": frozenset(("end", "resume")),
    "resumes_at": frozenset(("start",)),
    "signed_up_at": _NO_PERIOD | {"cancel", "notice", "end", "renew", "request", "minimum", "next"},
    "ordered_at": frozenset(("departure", "cancel", "birth", "end")),
    "customer_id": _NO_ID,
    "order_id": _NO_ID - {"amount"},
    "subscription_id": _NO_ID - {"month"},
}


def _parsed(text: str) -> tuple[tuple[frozenset[str], float], ...]:
    pairs = (entry.strip().rsplit(" ", 1) for entry in text.split(","))
    return tuple((frozenset(concepts.split("+")), float(score)) for concepts, score in pairs)


_PARSED = {field: _parsed(text) for field, text in PATTERNS.items()}


def name_score(field: str, column: Column) -> tuple[float, str]:
    """How sure a column's name makes it that it is a field (0 to 1), and why.

    >>> import pandas as pd
    >>> name_score("ordered_at", Column("Bestelldatum", pd.Series(dtype=object)))
    (1.0, 'its name says order and date')
    >>> name_score("amount", Column("Language", pd.Series(dtype=object)))
    (0.0, '')
    """
    if _letters(column.name) == _letters(field):
        return 1.05, "the same name"
    said = column.meaning.concepts
    if said & EXCLUDED.get(field, frozenset()):
        return 0.0, ""
    best, score = frozenset[str](), 0.0
    for concepts, sure in _PARSED.get(field, ()):
        given = sure if concepts == said else sure * 0.6 if concepts < said else 0.0
        if given > score:
            best, score = concepts, given
    score *= 1.0 if column.meaning.is_complete else 0.9
    return (score, f"its name says {' and '.join(sorted(best, reverse=True))}") if score else (0.0, "")


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", normalized(name))
