"""The judge of the wire itself: what Google's documents do not have is seen, in requests and in answers."""

import pytest

from tests.contract.discovery import Json, call_problems

SERIES = "/v3/projects/p/timeSeries"
SECRET = "/v1/projects/p/secrets/s/versions/latest"
ENTRIES = "/v2/entries:list"
FUNCTION = "/v2/projects/p/locations/l/functions/f"


def call(method: str, path: str, query: str = "", **more: object) -> Json:
    return {
        "method": method,
        "path": path,
        "query": query,
        "request": None,
        "http": 200,
        "response": {},
        **more,
    }


@pytest.mark.parametrize(
    "good",
    [
        call("GET", SERIES, "aggregation.perSeriesAligner=ALIGN_DELTA"),
        call("GET", SERIES, "interval.endTime=2026-11-23T08:00:00.123456Z"),
        call("GET", SERIES, "aggregation.alignmentPeriod=60s"),
        call("POST", ENTRIES, request={"resourceNames": ["projects/p"], "pageSize": 3}),
        call("GET", SECRET, response={"name": "n", "state": "ENABLED"}),
        call("POST", "/v1/projects/-/serviceAccounts/a@b:testIamPermissions", request={}),
        call("GET", "/v1/projects/p/services:batchGet", "names=a&names=b"),
        call("GET", FUNCTION, response={"name": FUNCTION[4:], "environment": "GEN_2"}),
    ],
)
def test_what_the_documents_have_is_no_problem(good: Json) -> None:
    assert call_problems(good) == []


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (call("GET", "/v3/projects/p/nothing"), "no discovery document has this call"),
        (call("DELETE", SERIES), "no discovery document has this call"),
        (call("GET", SERIES, "aggregation.aligner=X"), "'aggregation.aligner' is unknown"),
        (call("GET", SERIES, "aggregation.perSeriesAligner=ALIGN_BEST"), "cannot be 'ALIGN_BEST'"),
        (call("GET", SERIES, "interval.endTime=2026-11-23T08:00:00"), "'interval.endTime' cannot"),
        (call("GET", SERIES, "aggregation.alignmentPeriod=60"), "cannot be '60'"),
        (call("GET", SERIES, request={}), "has a body and must not have one"),
        (call("GET", SERIES, response={"series": []}), "'series' was unexpected"),
        (call("POST", ENTRIES, request={"project": "p"}), "'project' was unexpected"),
        (call("GET", SECRET, response={"state": "ON"}), "'ON' is not one of"),
        (call("GET", FUNCTION, response={"name": 7}), "7 is not of type 'string'"),
        (call("GET", FUNCTION, http=404, response={"error": {"code": 404}}), "'message' is a"),
    ],
)
def test_what_they_do_not_have_is_named(bad: Json, words: str) -> None:
    assert any(words in problem for problem in call_problems(bad)), call_problems(bad)
