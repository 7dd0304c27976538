from __future__ import annotations

from serving.access.roles import OPERATIONS
from serving.api.schema.resource_paths import RESOURCES, resource_models, resource_paths


def test_every_operation_says_what_it_does_and_only_those_who_may_do_it() -> None:
    paths = resource_paths([{"key": []}])
    operations = [operation for path in paths.values() for operation in path.values()]
    assert len(operations) == len(RESOURCES) == len({operation["operationId"] for operation in operations})
    for resource in RESOURCES:
        assert (resource.method, resource.path) in OPERATIONS
        operation = paths[resource.path][resource.method.lower()]
        assert operation["summary"] and operation["description"] and operation["security"]
        assert {"200", "401", "403", "429", "503"} <= set(operation["responses"])
        assert all(parameter["description"] for parameter in operation.get("parameters", []))


def test_every_answer_has_an_example() -> None:
    for model in resource_models():
        assert model.model_json_schema().get("examples"), model.__name__
