"""Each method that Google documents is here, or says by its name that it is not; none breaks by what it is sent."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from googleapiclient.discovery_cache import get_static_doc

from tests.emulator.emulator_driver import Driver, who

Json = dict[str, Any]
_FILLED = {
    "projectsId": "p1", "locationsId": "us-central1", "spreadsheetId": "book", "range": "Tab!A1", "sheetId": "0",
    "metadataId": "1", "functionsId": "documented", "servicesId": "documented",
}  # fmt: skip
_JUNK: list[object] = [
    None,
    -1,
    2**70,
    "\u00b2",
    "\ud800",
    "9" * 5000,
    [],
    [[]],
    [None],
    {},
    {"a": {}},
    True,
]


@dataclass(frozen=True, slots=True)
class _Method:
    name: str
    http: str
    path: str
    parameters: tuple[str, ...]
    bodies: tuple[Json, ...]
    """A field each, with something in it that it cannot hold."""


def _methods(node: Json, schemas: Json) -> Iterator[_Method]:
    """Each method of an API."""
    for method in _object(node, "methods").values():
        parameters = _object(method, "parameters")
        path = re.sub(
            r"{\+?(\w+)}",
            lambda match: _FILLED.get(match[1], "x"),
            method.get("flatPath", method["path"]),
        )
        fields = _object(_object(schemas, _object(method, "request").get("$ref", "")), "properties")
        bodies = [{name: junk} for name in fields for junk in _JUNK]
        for name, field in fields.items():
            inner = _object(_object(schemas, field.get("$ref", "")), "properties")
            bodies += [{name: {part: junk}} for part in inner for junk in _JUNK[::2]]
        query = (n for n, one in parameters.items() if one["location"] == "query")
        yield _Method(method["id"], method["httpMethod"], path, tuple(query), tuple(bodies))
    for child in _object(node, "resources").values():
        yield from _methods(child, schemas)


def _object(node: Json, name: str) -> Any:
    return node.get(name, {})


_DOCUMENTS = [
    json.loads(get_static_doc(api, version))
    for api, version in (("cloudfunctions", "v2"), ("run", "v2"), ("sheets", "v4"))
]
_METHODS = [one for found in _DOCUMENTS for one in _methods(found, found["schemas"])]
_NAMES = [method.name for method in _METHODS]


@pytest.fixture(scope="module", autouse=True)
def _documented(shared_driver: Driver) -> None:
    shared_driver.deploy("documented", who())


@pytest.mark.parametrize("method", _METHODS, ids=_NAMES)
def test_documented_method_is_there_or_says_that_it_is_not(
    shared_driver: Driver, method: _Method
) -> None:
    answer = _call(shared_driver, method, {})
    if not answer.ok:
        error = answer.json()["error"]
        assert error["message"] not in {"Not Found", "Method Not Allowed"}
        assert (answer.status_code == 501) == (error["status"] == "UNIMPLEMENTED")
        assert answer.status_code not in {405, 500}


@pytest.mark.parametrize("method", _METHODS, ids=_NAMES)
@pytest.mark.full
def test_junk_is_no_defect(shared_driver: Driver, method: _Method) -> None:
    """Whatever is in a field or a parameter, it is taken, refused, or not there at all."""
    for body in method.bodies:
        answer = _call(shared_driver, method, body, updateMask=next(iter(body)))
        assert answer.status_code < 500 or answer.status_code == 501, (body, answer.text[:300])
    for parameter in method.parameters:
        for text in ("\u00b2", "9" * 5000, "-1", "%00", "a,b", "(", "x" * 1500, ""):
            answer = _call(shared_driver, method, {}, **{parameter: text})
            assert answer.status_code < 500 or answer.status_code == 501, (parameter, text)


def _call(driver: Driver, method: _Method, body: Json, **query: str) -> requests.Response:
    content = None if method.http == "GET" else json.dumps(body)
    name = "documented" if method.http != "DELETE" else "not-there"
    url = f"{driver.cloud.endpoint}/{method.path.replace('documented', name)}"
    return driver.http.request(method.http, url, data=content, params=query, timeout=20)
