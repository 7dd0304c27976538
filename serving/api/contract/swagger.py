"""A document of OpenAPI 3.0.3 -> the same contract as Swagger 2.0, as Power Platform and others import it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from serving.api.contract.schemas import PREFIX

MOVED = {PREFIX: "#/definitions/", "#/components/responses/": "#/responses/"}
AUTHORIZATION = {"type": "apiKey", "in": "header", "name": "Authorization"}
OF_HEADERS = {"type", "format", "enum", "minimum", "maximum", "maxLength", "minLength", "pattern"}


def swagger(document: dict[str, Any]) -> dict[str, Any]:
    """A document of Swagger 2.0 from one of OpenAPI 3.0.3, of which nothing is changed in place."""
    components = document["components"]
    headers = components["headers"]
    schemes = {name: _scheme(scheme) for name, scheme in components["securitySchemes"].items()}
    return {
        "swagger": "2.0",
        "info": document["info"],
        **_place(document["servers"][0]["url"]),
        "tags": document["tags"],
        "paths": {
            path: {method: _operation(operation, headers) for method, operation in item.items()}
            for path, item in document["paths"].items()
        },
        "definitions": _moved(components["schemas"]),
        "responses": {name: _response(told, headers) for name, told in components["responses"].items()},
        "securityDefinitions": schemes,
    }


def _place(address: str) -> dict[str, Any]:
    """Host, path and scheme of an address; of one that names no host, where the document comes from."""
    parts = urlsplit(address)
    host = {"host": parts.netloc, "schemes": [parts.scheme]} if parts.netloc else {}
    return {**host, "basePath": parts.path.rstrip("/") or "/"}


def _scheme(scheme: dict[str, Any]) -> dict[str, Any]:
    if scheme["type"] == "http":
        return {**AUTHORIZATION, "description": f"The word `Bearer`, a space, and this: {scheme['description']}"}
    if scheme["type"] == "oauth2":
        flow = scheme["flows"]["clientCredentials"]
        about = {"type": "oauth2", "flow": "application", "description": scheme["description"]}
        return {**about, "tokenUrl": flow["tokenUrl"], "scopes": flow["scopes"]}
    return scheme


def _operation(operation: dict[str, Any], headers: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in operation.items() if k not in ("requestBody", "parameters", "responses")}
    parameters = [_parameter(parameter) for parameter in operation.get("parameters", ())]
    if body := operation.get("requestBody"):
        (media_type, content), *_ = body["content"].items()
        kept["consumes"] = [media_type]
        parameters.append({"name": "body", "in": "body", "required": True, "schema": _moved(content["schema"])})
    types = [m for told in operation["responses"].values() for m in told.get("content", ())]
    return {
        **kept,
        "produces": list(dict.fromkeys([*types, "application/problem+json"])),
        **({"parameters": parameters} if parameters else {}),
        "responses": {
            status: _moved(told) if "$ref" in told else _response(told, headers)
            for status, told in operation["responses"].items()
        },
    }


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    schema = _moved(parameter["schema"])
    own = {k: v for k, v in schema.items() if k not in ("nullable", "example", "x-nullable")}
    commas = {"collectionFormat": "csv"} if own.get("type") == "array" else {}
    return {
        **{k: v for k, v in parameter.items() if k not in ("schema", "example", "style", "explode")},
        **own,
        **commas,
    }


def _response(response: dict[str, Any], headers: dict[str, Any]) -> dict[str, Any]:
    """An answer, with its headers written out."""
    (media_type, content), *_ = response["content"].items()
    examples = [e["value"] for e in content.get("examples", {}).values()] or [content.get("example")]
    told = {name: headers[header["$ref"].rpartition("/")[2]] for name, header in response["headers"].items()}
    return {
        "description": response["description"],
        "headers": {
            name: {
                "description": header["description"],
                **{k: v for k, v in header["schema"].items() if k in OF_HEADERS},
            }
            for name, header in told.items()
        },
        "schema": _moved(content["schema"]),
        **({"examples": {media_type: examples[0]}} if examples[0] is not None else {}),
    }


def _moved(node: Any) -> Any:
    """A part with references as 2.0 has them, and ``x-nullable`` for what may be null."""
    if isinstance(node, list):
        return [_moved(part) for part in node]
    if not isinstance(node, dict):
        return node
    if isinstance(named := node.get("$ref"), str):
        start, _, name = named.rpartition("/")
        return {"$ref": MOVED[f"{start}/"] + name}
    moved = {"x-nullable" if k == "nullable" else k: _moved(v) for k, v in node.items()}
    if moved.get("x-nullable") is True and "enum" in moved:
        moved["enum"] = [value for value in moved["enum"] if value is not None]
    return moved
