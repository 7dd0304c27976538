"""The contract in Swagger 2.0 is that of 3.0.3, in the places and words of 2.0."""

from __future__ import annotations

import copy
import json

import pytest

from serving.api.contract.openapi30 import openapi_30
from serving.api.contract.swagger import swagger
from serving.api.schema.openapi import openapi_document

OLDER = openapi_30(openapi_document(1000, "1", "https://churn.acme.example/api/", "https://id.acme.example/token"))
OLDEST = swagger(OLDER)


def test_host_path_and_scheme_are_of_the_address_and_left_out_where_none_is_told() -> None:
    assert (OLDEST["host"], OLDEST["basePath"], OLDEST["schemes"]) == ("churn.acme.example", "/api", ["https"])
    nowhere = swagger(openapi_30(openapi_document(1000, "1")))
    assert nowhere["basePath"] == "/" and not {"host", "schemes"} & nowhere.keys()


def test_nothing_of_version_3_is_left() -> None:
    text = json.dumps(OLDEST)
    assert "#/components/" not in text and '"nullable"' not in text and '"requestBody"' not in text
    for item in OLDEST["paths"].values():
        for operation in item.values():
            assert all("content" not in told for told in operation["responses"].values())
            assert operation["produces"]


def test_every_reference_is_held() -> None:
    named = {part.split('"')[1] for part in json.dumps(OLDEST).split('"$ref": ')[1:]}
    held = {f"#/{kind}/{name}" for kind in ("definitions", "responses") for name in OLDEST[kind]}
    assert named == held


def test_a_body_is_a_parameter_and_a_null_is_an_extension() -> None:
    post = OLDEST["paths"]["/v1/predictions"]["post"]
    (body,) = (parameter for parameter in post["parameters"] if parameter["in"] == "body")
    headers = [parameter["name"] for parameter in post["parameters"] if parameter["in"] == "header"]
    assert headers == ["X-Purpose", "Idempotency-Key"]
    assert (body["in"], body["schema"]) == ("body", {"$ref": "#/definitions/PredictRequest"})
    assert post["consumes"] == ["application/json"]
    assert OLDEST["definitions"]["PredictRequest"]["properties"]["explain"]["x-nullable"] is True
    assert None not in OLDEST["definitions"]["PredictRequest"]["properties"]["explain"]["enum"]


def test_a_token_is_sent_in_a_header_and_gotten_by_credentials() -> None:
    schemes = OLDEST["securityDefinitions"]
    assert (schemes["bearer"]["in"], schemes["bearer"]["name"]) == ("header", "Authorization")
    assert (schemes["oauth2"]["flow"], schemes["oauth2"]["tokenUrl"]) == (
        "application",
        "https://id.acme.example/token",
    )


@pytest.mark.parametrize("status", ["200", "401", "429"])
def test_headers_of_answers_are_written_out(status: str) -> None:
    told = OLDEST["paths"]["/v1/models"]["get"]["responses"][status]
    whole = OLDEST["responses"][told["$ref"].rpartition("/")[2]] if "$ref" in told else told
    assert whole["headers"]["RateLimit"]["type"] == "string" and "$ref" not in whole["headers"]["RateLimit"]
    assert ("Retry-After" in whole["headers"]) == (status == "429")


def test_the_document_it_is_made_from_is_not_changed() -> None:
    before = copy.deepcopy(OLDER)
    swagger(OLDER)
    assert before == OLDER


def test_a_list_in_an_address_is_parted_by_commas() -> None:
    parameters = {p["name"]: p for p in OLDEST["paths"]["/v1/customers"]["get"]["parameters"]}
    assert parameters["band"]["type"] == "array" and parameters["band"]["collectionFormat"] == "csv"
    assert not {"style", "explode", "schema"} & parameters["band"].keys()
    assert "collectionFormat" not in parameters["limit"]
