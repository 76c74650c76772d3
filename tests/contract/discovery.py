"""Holds what goes over the wire to Google's own discovery documents, which ship with google-api-python-client.

A call is a record of method, path, query, request, http and response, as the emulator's admin
log gives it.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Literal, get_args
from urllib.parse import parse_qsl

import jsonschema
from jsonschema.protocols import Validator

Api = Literal[
    "cloudfunctions.v2",
    "run.v2",
    "run.v1",
    "sheets.v4",
    "monitoring.v3",
    "logging.v2",
    "secretmanager.v1",
    "artifactregistry.v1",
    "serviceusage.v1",
    "iam.v1",
    "iamcredentials.v1",
    "cloudbuild.v1",
    "storage.v1",
]
APIS: tuple[Api, ...] = get_args(Api)
Json = dict[str, object]

_PACKED = {
    "type.googleapis.com/google.cloud.functions.v2.Function": ("cloudfunctions.v2", "Function"),
    "type.googleapis.com/google.cloud.functions.v2.OperationMetadata": (
        "cloudfunctions.v2",
        "GoogleCloudFunctionsV2OperationMetadata",
    ),
    "type.googleapis.com/google.cloud.run.v2.Service": ("run.v2", "GoogleCloudRunV2Service"),
    "type.googleapis.com/google.devtools.cloudbuild.v1.BuildOperationMetadata": (
        "cloudbuild.v1",
        "BuildOperationMetadata",
    ),
    "type.googleapis.com/google.devtools.cloudbuild.v1.Build": ("cloudbuild.v1", "Build"),
    "type.googleapis.com/google.cloud.run.v2.Revision": ("run.v2", "GoogleCloudRunV2Revision"),
}
"""Schemas of the messages that operations carry as ``Any``."""
_FORMATS = {
    "int64": r"^-?\d+$",
    "uint64": r"^\d+$",
    "google-datetime": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$",
    "google-duration": r"^-?\d+(\.\d+)?s$",
    "byte": r"^[A-Za-z0-9+/_-]*={0,2}$",
}
_PARTS = {"{range}": r"(.+)", "{object}": r"(.+)", "{versionsId}": r"([^/]+)"}
"""What may hold a colon or a slash; an id may not."""
ANY_BODY = "*"
"""Stands for the schema of a request whose body is a file."""
_ANY_PARAMETERS = {"$alt", "alt", "fields", "key", "prettyPrint", "$.xgafv"}
_ERROR: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "status"],
            "properties": {
                "code": {"type": "integer"},
                "message": {"type": "string"},
                "status": {"type": "string", "pattern": "^[A-Z_]+$"},
            },
        }
    },
}
"""Error answers of Google's APIs (google.rpc.Status in JSON, "Errors" in the Cloud APIs design guide)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One call of an API as its document describes it; schemas are names, empty if there is no body."""

    api: Api
    http_method: str
    path: re.Pattern[str]
    parameters: Mapping[str, Json]
    """What may stand in the query, as the document describes each."""
    request: str
    response: str


@cache
def document(api: Api) -> Json:
    """The discovery document of ``api``."""
    path = files("googleapiclient").joinpath("discovery_cache", "documents", f"{api}.json")
    found: Json = json.loads(path.read_text(encoding="utf-8"))
    return found


@cache
def methods(api: Api) -> tuple[Method, ...]:
    """All calls of ``api``."""
    found: list[Method] = []

    def walk(resource: Json) -> None:
        for described in map(_object, _object(resource.get("methods")).values()):
            found.append(_method(api, described))
            found.extend(_media_upload(api, described))
        for child in _object(resource.get("resources")).values():
            walk(_object(child))

    walk(document(api))
    return tuple(found)


def _media_upload(api: Api, described: Json) -> Iterator[Method]:
    """The same call with a file as its body, where there is such a one."""
    simple = _object(_object(_object(described.get("mediaUpload")).get("protocols")).get("simple"))
    if simple:
        method = _method(api, described)
        extra: Json = {"uploadType": {"enum": ["media"]}}
        yield replace(
            method,
            path=_pattern(str(simple["path"])),
            parameters={**method.parameters, **{k: _object(v) for k, v in extra.items()}},
            request=ANY_BODY,
        )


def _pattern(path: str) -> re.Pattern[str]:
    pattern = "".join(
        _PARTS.get(part, r"([^/:]+)") if part.startswith("{") else re.escape(part)
        for part in re.split(r"(\{[^}]+\})", path)
    )
    return re.compile(pattern)


def _method(api: Api, described: Json) -> Method:
    path = str(described.get("flatPath", described["path"]))
    parameters = _object(described.get("parameters"))
    return Method(
        api=api,
        http_method=str(described["httpMethod"]),
        path=_pattern(f"/{document(api).get('servicePath', '')}{path}"),
        parameters={
            k: _object(v) for k, v in parameters.items() if _object(v).get("location") == "query"
        },
        request=str(_object(described.get("request")).get("$ref", "")),
        response=str(_object(described.get("response")).get("$ref", "")),
    )


def method_for(http_method: str, path: str) -> Method | None:
    """The documented call that a request is, of whichever API; None if no document has it."""
    known = (method for api in APIS for method in methods(api))
    return next((m for m in known if m.http_method == http_method and m.path.fullmatch(path)), None)


@cache
def validator(api: Api, schema: str, *, enums_as_ints: bool = False) -> Validator:
    """A validator for one schema of ``api``: unknown fields, wrong types and unknown enum names are errors.

    Args:
        api: whose document.
        schema: a name under ``schemas`` of the document.
        enums_as_ints: also allow numbers for enums, as ``$alt=json;enum-encoding=int`` answers
        them.
    """
    schemas = _object(document(api)["schemas"])
    definitions = {
        name: _converted(_object(found), enums_as_ints) for name, found in schemas.items()
    }
    root: Json = {"$ref": f"#/$defs/{schema}", "$defs": definitions}
    return jsonschema.Draft202012Validator(root)


def _converted(described: Json, enums_as_ints: bool) -> Json | bool:
    if "$ref" in described:
        return {"$ref": f"#/$defs/{described['$ref']}"}
    kind = described.get("type")
    if kind == "any":
        return True
    if kind == "array":
        return {"type": "array", "items": _converted(_object(described["items"]), enums_as_ints)}
    if kind == "object":
        properties = {
            k: _converted(_object(v), enums_as_ints)
            for k, v in _object(described.get("properties")).items()
        }
        more = described.get("additionalProperties")
        rest = _converted(_object(more), enums_as_ints) if more is not None else False
        return {"type": "object", "properties": properties, "additionalProperties": rest}
    if "enum" in described:
        named: Json = {"enum": described["enum"]}
        return {"anyOf": [named, {"type": "integer"}]} if enums_as_ints else named
    converted: Json = {"type": kind}
    if kind == "string" and (pattern := _FORMATS.get(str(described.get("format")))) is not None:
        converted["pattern"] = pattern
    return converted


def problems(api: Api, schema: str, value: object, *, enums_as_ints: bool = False) -> list[str]:
    """What is wrong with ``value`` as ``schema``, one line each; operations are looked into."""
    checker = validator(api, schema, enums_as_ints=enums_as_ints)
    errors = checker.iter_errors(value)  # type: ignore[arg-type]  # any JSON, which object stands for
    found = [f"{schema}{error.json_path[1:]}: {error.message}" for error in errors]
    if schema in {"Operation", "GoogleLongrunningOperation"}:
        for part in ("metadata", "response"):
            packed = dict(_object(_object(value).get(part)))
            known = _PACKED.get(str(packed.pop("@type", "")))
            if known is not None:
                inner_api: Api = next(name for name in APIS if name == known[0])
                packed.pop("requestResource", None)  # an Any of its own
                found += problems(inner_api, known[1], packed, enums_as_ints=enums_as_ints)
    return found


def call_problems(call: Json) -> list[str]:
    """What is wrong with one recorded call: path, query, request body and answer.

    A request that was refused as malformed (400) is not held to the document, its answer is.
    """
    where = f"{call['method']} {call['path']}"
    method = method_for(str(call["method"]), str(call["path"]))
    if method is None:
        return [f"{where}: no discovery document has this call"]
    query = parse_qsl(str(call["query"]))
    found = [] if call["http"] == 400 else _request_problems(method, call, query)
    as_ints = "enum-encoding=int" in dict(query).get("$alt", "")
    if call["response"] is not None:
        if int(str(call["http"])) >= 400:
            found += [
                e.message
                for e in jsonschema.Draft202012Validator(_ERROR).iter_errors(call["response"])
            ]
        elif method.response:
            found += problems(method.api, method.response, call["response"], enums_as_ints=as_ints)
    return [f"{where}: {problem}" for problem in found]


def _request_problems(method: Method, call: Json, query: Sequence[tuple[str, str]]) -> list[str]:
    found = []
    for name, value in query:
        described = method.parameters.get(name)
        if described is None and name not in _ANY_PARAMETERS:
            found.append(f"parameter {name!r} is unknown")
        elif described is not None and not _fits(value, described):
            found.append(f"parameter {name!r} cannot be {value!r}")
    if method.request == ANY_BODY:
        return found
    if method.request:
        found += problems(method.api, method.request, call["request"] or {}, enums_as_ints=True)
    elif call["request"] is not None:
        found.append("has a body and must not have one")
    return found


def _fits(value: str, described: Json) -> bool:
    """Whether a text of the query is one of the words, or of the form, that the document asks for."""
    words = described.get("enum")
    pattern = _FORMATS.get(str(described.get("format")), "")
    is_word = value in words if isinstance(words, list) else True
    return is_word and re.search(pattern, value) is not None


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}
