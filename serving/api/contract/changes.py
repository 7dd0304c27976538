"""What a newer contract takes from those who hold an older one: nothing, or it is another version of the API.

One rule for both directions: who gives must give nothing that the taker refuses. Of requests an old client gives and
the new service takes; of answers the new service gives and an old client takes, however strict it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from serving.api.contract.schemas import Schema, Schemas

TEXTS = ("description", "summary", "example", "examples", "title")
MOST = ("maxLength", "maxItems", "maxProperties", "maximum", "exclusiveMaximum")
LEAST = ("minLength", "minItems", "minProperties", "minimum", "exclusiveMinimum")
FORMS = ("pattern", "format")
WIDER = {"integer": "number"}


def published(document: dict[str, Any]) -> dict[str, Any]:
    """What of a document of OpenAPI 3.1 may not be broken: paths and schemas, without texts."""
    schemas = document["components"]["schemas"]
    return _without_texts({"paths": document["paths"], "components": {"schemas": schemas}})


def breaking_changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What breaks a client of `old` when `new` answers; both are OpenAPI 3.1. One line a change.

    Broken is who finds an operation, a field or a success gone; who sends what was taken, and is refused; who is told
    what the old document rules out: a null, another choice, a longer text. New fields of answers, new operations and
    new optional fields of requests break nobody.
    """
    found: list[str] = []
    for path, item in old["paths"].items():
        for method, operation in item.items():
            newer = new["paths"].get(path, {}).get(method)
            at = f"{method.upper()} {path}"
            found += _of_operation(operation, newer, _Pair(old, new), at) if newer else [f"{at}: is gone"]
    return list(dict.fromkeys(found))


class _Pair:
    """The schemas of both documents."""

    def __init__(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        self.old, self.new = old["components"]["schemas"], new["components"]["schemas"]


def _of_operation(old: dict[str, Any], new: dict[str, Any], pair: _Pair, at: str) -> list[str]:
    found = [] if old["operationId"] == new["operationId"] else [f"{at}: has another operationId"]
    for parameter in new.get("parameters", ()):
        before = [p for p in old.get("parameters", ()) if (p["name"], p["in"]) == (parameter["name"], parameter["in"])]
        place = f"{at} parameter {parameter['name']}"
        if parameter["required"] and not any(p["required"] for p in before):
            found.append(f"{place}: is asked for now")
        for p in before:
            found += refusals(p["schema"], parameter["schema"], pair.old, pair.new, place)
    names = {p["name"] for p in new.get("parameters", ())}
    found += [f"{at} parameter {p['name']}: is gone" for p in old.get("parameters", ()) if p["name"] not in names]
    asked, asked_now = (list(_schemas(o.get("requestBody", {}))) for o in (old, new))
    found += [f"{at}: asks for a body now"] if asked_now and not asked else []
    for given, taken in zip(asked, asked_now, strict=False):
        found += refusals(given, taken, pair.old, pair.new, f"{at} request")
    for status, told in old["responses"].items():
        if "$ref" not in told and status not in new["responses"]:
            found.append(f"{at}: no longer answers {status}")
        for taken, given in zip(_schemas(told), _schemas(new["responses"].get(status, {})), strict=False):
            found += refusals(given, taken, pair.new, pair.old, f"{at} answer")
            found += _gone(taken, given, pair, f"{at} answer")
    return found


def refusals(
    given: Schema, taken: Schema, givers: Schemas, takers: Schemas, at: str = "", seen: frozenset[str] = frozenset()
) -> list[str]:
    """What may be given that is not taken.

    >>> refusals({"type": "string", "maxLength": 9}, {"type": ["string", "null"], "maxLength": 9}, {}, {})
    []
    >>> refusals({"type": ["string", "null"], "maxLength": 9}, {"type": "string", "maxLength": 9}, {}, {}, "name")
    ['name: null is not taken']
    """
    pair = f"{given.get('$ref')} {taken.get('$ref')}"
    if pair in seen:
        return []
    seen = seen | {pair} if "$ref" in given or "$ref" in taken else seen
    choices, takes = _choices(given, givers), _choices(taken, takers)
    if len(choices) == len(takes) == 1:
        return _of_one(choices[0], takes[0], givers, takers, at, seen)
    found: list[str] = []
    for choice in choices:
        tried = [_of_one(choice, take, givers, takers, at, seen) for take in takes]
        fewest: list[str] = min(tried, key=len)
        found += fewest
    return found


def _of_one(given: Schema, taken: Schema, givers: Schemas, takers: Schemas, at: str, seen: frozenset[str]) -> list[str]:
    types, known = _types(given), _types(taken)
    found = [f"{at}: {t} is not taken" for t in types if known and not {t, WIDER.get(t)} & set(known)]
    if (choices := _values(taken)) is not None:
        found += [f"{at}: {v!r} is not taken" for v in _values(given) or [] if v not in choices]
        found += [f"{at}: is a choice" for _ in [1] if _values(given) is None]
    for keyword in (*MOST, *LEAST):
        sign = 1 if keyword in MOST else -1
        if keyword in taken and (keyword not in given or sign * given[keyword] > sign * taken[keyword]):
            found.append(f"{at}: {keyword} is {taken[keyword]}")
    found += [f"{at}: {form} is another" for form in FORMS if form in taken and given.get(form) != taken[form]]
    found += [
        f"{at}: {name} is required" for name in taken.get("required", ()) if name not in given.get("required", ())
    ]
    fields, others = taken.get("properties", {}), taken.get("additionalProperties")
    for name, field in given.get("properties", {}).items():
        if name in fields:
            found += refusals(field, fields[name], givers, takers, f"{at}/{name}", seen)
        elif others is False:
            found.append(f"{at}/{name}: is not a known field")
    for keyword in ("items", "additionalProperties"):
        if isinstance(given.get(keyword), dict) and isinstance(taken.get(keyword), dict):
            found += refusals(given[keyword], taken[keyword], givers, takers, f"{at}/*", seen)
    return found


def _gone(old: Schema, new: Schema, pair: _Pair, at: str, seen: frozenset[str] = frozenset()) -> list[str]:
    """The fields of an answer that are told no longer, required or not."""
    key = str(old.get("$ref"))
    if key in seen:
        return []
    seen = seen | {key} if "$ref" in old else seen
    found = []
    for before in _choices(old, pair.old):
        fields: dict[str, Schema] = {}
        for now in _choices(new, pair.new):
            fields |= now.get("properties", {})
        for name, field in before.get("properties", {}).items():
            gone = [f"{at}/{name}: is gone"]
            found += _gone(field, fields[name], pair, f"{at}/{name}", seen) if name in fields else gone
        if "items" in before:
            now_items = [now["items"] for now in _choices(new, pair.new) if "items" in now]
            found += [line for item in now_items for line in _gone(before["items"], item, pair, f"{at}/*", seen)]
    return found


def _choices(schema: Schema, schemas: Schemas) -> list[Schema]:
    """The schemas that a value may follow, without references."""
    if "$ref" in schema:
        return _choices(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    choices = schema.get("oneOf") or schema.get("anyOf")
    return [one for choice in choices for one in _choices(choice, schemas)] if choices else [schema]


def _types(schema: Schema) -> list[str]:
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else types


def _values(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _schemas(told: dict[str, Any]) -> Iterator[Schema]:
    """The schemas of a body or an answer."""
    for content in told.get("content", {}).values():
        yield content["schema"]


def _without_texts(node: Any, names: Iterable[str] = TEXTS) -> Any:
    if isinstance(node, list):
        return [_without_texts(part) for part in node]
    if not isinstance(node, dict):
        return node
    kept = {k: v for k, v in node.items() if k not in names}
    return {k: _without_texts(v, () if k == "properties" else TEXTS) for k, v in kept.items()}
