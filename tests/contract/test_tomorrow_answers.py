"""The mode "tomorrow" has everything that Google's documents have and the libraries lack."""

import json

import pytest
from google.cloud import functions_v2, run_v2
from google.protobuf.message import Message

from pytest_deploygate.emulator.api.tomorrow import add_future, without_future
from tests.contract.discovery import Api, Json, document

FUNCTION: Json = {
    "environment": "GEN_2",
    "serviceConfig": {"uri": "u"},
    "buildConfig": {"build": "b"},
}
SERVICE: Json = {"trafficStatuses": [], "template": {"containers": [{"name": "w", "image": "i"}]}}
REVISION: Json = {"service": "s", "containers": [{"name": "w", "image": "i"}]}
CONDITION: Json = {"type": "Ready", "lastTransitionTime": "t"}
METADATA: Json = {"target": "t", "apiVersion": "v2"}


def of(found: object, *path: str | int) -> object:
    """What stands at ``path`` of the answer that tomorrow gives."""
    found = add_future(found)
    for step in path:
        found = found[step]  # type: ignore[index]  # the sample has it
    return found


SAMPLES: list[tuple[Api, str, Message, object]] = [
    ("cloudfunctions.v2", "Function", functions_v2.Function.pb()(), of(FUNCTION)),
    ("cloudfunctions.v2", "ServiceConfig", functions_v2.ServiceConfig.pb()(), of(FUNCTION, "serviceConfig")),
    ("cloudfunctions.v2", "BuildConfig", functions_v2.BuildConfig.pb()(), of(FUNCTION, "buildConfig")),
    (
        "cloudfunctions.v2", "GoogleCloudFunctionsV2OperationMetadata",
        functions_v2.OperationMetadata.pb()(), of(METADATA),
    ),
    ("run.v2", "GoogleCloudRunV2Service", run_v2.Service.pb()(), of(SERVICE)),
    ("run.v2", "GoogleCloudRunV2RevisionTemplate", run_v2.RevisionTemplate.pb()(), of(SERVICE, "template")),
    ("run.v2", "GoogleCloudRunV2Revision", run_v2.Revision.pb()(), of(REVISION)),
    ("run.v2", "GoogleCloudRunV2Container", run_v2.Container.pb()(), of(REVISION, "containers", 0)),
    ("run.v2", "GoogleCloudRunV2Condition", run_v2.Condition.pb()(), of(CONDITION)),
]  # fmt: skip


def described(api: Api, schema: str) -> dict[str, Json]:
    """Fields of a schema of Google's document."""
    found = document(api)["schemas"][schema]["properties"]  # type: ignore[index]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(("api", "schema", "message", "answer"), SAMPLES, ids=lambda v: str(v)[:40])
def test_every_field_that_the_library_lacks_is_there(
    api: Api, schema: str, message: Message, answer: dict[str, object]
) -> None:
    known = {field.json_name for field in message.DESCRIPTOR.fields}
    assert set(described(api, schema)) - known <= set(answer)


@pytest.mark.parametrize(("api", "schema", "message", "answer"), SAMPLES, ids=lambda v: str(v)[:40])
def test_every_value_that_the_library_lacks_is_there(
    api: Api, schema: str, message: Message, answer: object
) -> None:
    lists: Json = {"operations": [], "functions": [], "conditions": []}
    said = json.dumps([answer, add_future(lists)])
    known = {field.json_name: field.enum_type for field in message.DESCRIPTOR.fields}
    for name, field in described(api, schema).items():
        values = field.get("enum", [])
        assert isinstance(values, list)
        if known.get(name) is not None:
            new = set(values) - set(known[name].values_by_name)
            assert [value for value in new if f'"{value}"' not in said] == [], name


@pytest.mark.parametrize("body", [FUNCTION, SERVICE["template"]], ids=["function", "template"])
def test_what_is_written_back_is_what_was_there(body: Json) -> None:
    assert without_future(add_future(body)) == body
