"""The mode "tomorrow" has everything that Google's documents have and the libraries lack."""

import json
from collections.abc import Iterator

import pytest
from google.cloud import functions_v2, run_v2
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from pytest_deploygate.emulator.api.tomorrow import add_future, without_future
from tests.contract.discovery import Api, Json, document

FUNCTION: Json = {
    "environment": "GEN_2",
    "serviceConfig": {"uri": "u"},
    "buildConfig": {"build": "b"},
}
_CONTAINER: Json = {
    "name": "w",
    "image": "i",
    "sourceCode": {"cloudStorageSource": {"bucket": "b"}},
}
_HOW_TO_RUN: Json = {
    "containers": [_CONTAINER],
    "scaling": {"maxInstanceCount": 1},
    "volumes": [{"name": "v", "emptyDir": {"medium": "MEMORY"}}],
}
_CONDITION: Json = {"type": "Ready", "lastTransitionTime": "t"}
SERVICE: Json = {"trafficStatuses": [], "conditions": [_CONDITION], "template": _HOW_TO_RUN}
REVISION: Json = {"service": "s", "conditions": [_CONDITION], **_HOW_TO_RUN}
METADATA: Json = {"target": "t", "apiVersion": "v2"}
LISTS: Json = {"operations": [], "functions": []}
SAMPLES: list[tuple[Api, str, Message, Json]] = [
    ("cloudfunctions.v2", "Function", functions_v2.Function.pb()(), FUNCTION),
    (
        "cloudfunctions.v2", "GoogleCloudFunctionsV2OperationMetadata",
        functions_v2.OperationMetadata.pb()(), METADATA,
    ),
    ("run.v2", "GoogleCloudRunV2Service", run_v2.Service.pb()(), SERVICE),
    ("run.v2", "GoogleCloudRunV2Revision", run_v2.Revision.pb()(), REVISION),
]  # fmt: skip


def lacking(api: Api, schema: str, message: Descriptor, seen: frozenset[str]) -> Iterator[str]:
    """Fields and values of a schema of Google's document, and of all below it, that the library lacks."""
    known = {field.json_name: field for field in message.fields}
    described = document(api)["schemas"][schema].get("properties", {})  # type: ignore[index]
    for name, field in described.items():
        if name not in known:
            yield name
            continue
        inner = field.get("items", field)
        if known[name].enum_type is not None:
            yield from set(inner.get("enum", [])) - set(known[name].enum_type.values_by_name)
        below, found = inner.get("$ref"), known[name].message_type
        if below and below not in seen and found is not None:
            yield from lacking(api, below, found, seen | {below})


@pytest.mark.parametrize(("api", "schema", "message", "answer"), SAMPLES, ids=lambda v: str(v)[:40])
def test_every_field_and_value_that_the_library_lacks_is_there(
    api: Api, schema: str, message: Message, answer: Json
) -> None:
    said = json.dumps([add_future(answer), add_future(LISTS)])
    lacks = sorted(set(lacking(api, schema, message.DESCRIPTOR, frozenset())))
    assert lacks
    assert [name for name in lacks if f'"{name}"' not in said] == []


_BARE: Json = {"containers": [{"name": "w", "image": "i"}]}


@pytest.mark.parametrize(
    "body", [FUNCTION, _HOW_TO_RUN, _BARE], ids=["function", "template", "bare-template"]
)
def test_what_is_written_back_is_what_was_there(body: Json) -> None:
    assert without_future(add_future(body)) == body
