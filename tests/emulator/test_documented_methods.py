"""Each method that Google documents is here, or says by its name that it is not."""

import json
import re
from collections.abc import Iterator

import pytest
from googleapiclient.discovery_cache import get_static_doc

from tests.emulator.emulator_driver import Driver

Json = dict[str, object]
_FILLED = {
    "projectsId": "p1", "locationsId": "us-central1", "spreadsheetId": "book", "range": "Tab!A1", "sheetId": "0",
    "metadataId": "1",
}  # fmt: skip


def _methods(node: Json) -> Iterator[tuple[str, str, str]]:
    """Identity, HTTP method and a path of each method of an API."""
    for method in dict(node.get("methods", {})).values():  # type: ignore[call-overload]
        path = method.get("flatPath", method["path"])
        yield (
            method["id"],
            method["httpMethod"],
            re.sub(r"{\+?(\w+)}", lambda match: _FILLED.get(match[1], "x"), path),
        )
    for child in dict(node.get("resources", {})).values():  # type: ignore[call-overload]
        yield from _methods(child)


_ALL = [
    pytest.param(http, path, id=name)
    for api, version in (("cloudfunctions", "v2"), ("run", "v2"), ("sheets", "v4"))
    for name, http, path in _methods(json.loads(get_static_doc(api, version)))
]


@pytest.mark.parametrize(("http", "path"), _ALL)
def test_documented_method_is_there_or_says_that_it_is_not(
    shared_driver: Driver, http: str, path: str
) -> None:
    answer = shared_driver.http.request(
        http,
        f"{shared_driver.cloud.endpoint}/{path}",
        json=None if http == "GET" else {},
        timeout=20,
    )
    if not answer.ok:
        error = answer.json()["error"]
        assert error["message"] not in {"Not Found", "Method Not Allowed"}
        assert (answer.status_code == 501) == (error["status"] == "UNIMPLEMENTED")
        assert answer.status_code not in {405, 500}
