"""Each fault that can be asked for does what it says, as often as it says."""

import threading

import pytest
import requests
from google.api_core import exceptions
from google.cloud import functions_v2, run_v2

from tests.emulator.emulator_driver import (
    Driver,
    RevisionPair,
    finished,
    is_done,
    short_name,
    to,
    until,
    who,
)


@pytest.mark.parametrize(
    ("http", "status", "kind"),
    [
        (403, "PERMISSION_DENIED", exceptions.Forbidden),
        (404, "NOT_FOUND", exceptions.NotFound),
        (409, "ABORTED", exceptions.Conflict),
        (412, "FAILED_PRECONDITION", exceptions.PreconditionFailed),
        (429, "RESOURCE_EXHAUSTED", exceptions.TooManyRequests),
        (500, "INTERNAL", exceptions.InternalServerError),
        (503, "UNAVAILABLE", exceptions.ServiceUnavailable),
    ],
)
def test_http_error_is_answered_once_and_nothing_is_done(
    driver: Driver,
    function_id: str,
    http: int,
    status: str,
    kind: type[exceptions.GoogleAPICallError],
) -> None:
    driver.fault(
        method="POST", path="generateUploadUrl", http=http, message="as asked", retry_after=7
    )
    request = functions_v2.GenerateUploadUrlRequest(parent="projects/p1/locations/us-central1")
    with pytest.raises(kind, match="as asked") as raised:
        driver.functions.generate_upload_url(request, timeout=20)
    answer = raised.value.response
    assert answer.json()["error"]["status"] == status
    assert answer.headers["Retry-After"] == "7"
    assert driver.functions.generate_upload_url(request, timeout=20).upload_url


def test_after_and_times_count_matching_calls(driver: Driver, pair: RevisionPair) -> None:
    url = f"{driver.cloud.endpoint}/v2/{pair.service.name}"
    driver.fault(method="GET", path="services/pair$", after=1, times=2, http=503)
    assert [driver.get(url).status_code for _ in range(4)] == [200, 503, 503, 200]
    faults = driver.local("GET", "faults")["faults"]
    assert isinstance(faults, list)
    assert (faults[0]["seen"], faults[0]["given"]) == (3, 2)


def test_lost_answer_was_applied_and_lost_request_was_not(
    driver: Driver, pair: RevisionPair
) -> None:
    service, first, second = pair
    driver.fault(method="PATCH", path=f"services/{short_name(service.name)}$", drop="before")
    with pytest.raises(requests.ConnectionError):
        driver.traffic(service.name, to(second, 100))
    assert driver.service(service.name).generation == service.generation
    driver.fault(method="PATCH", path=f"services/{short_name(service.name)}$", drop="after")
    with pytest.raises(requests.ConnectionError):
        driver.traffic(service.name, to(second, 100))
    until(lambda: driver.answering(service.uri), lambda revision: revision == second)
    assert first != second


def test_answer_that_breaks_off_in_the_middle_was_applied(
    driver: Driver, pair: RevisionPair
) -> None:
    driver.fault(method="PATCH", path=f"services/{short_name(pair.service.name)}$", drop="middle")
    with pytest.raises(requests.RequestException):
        driver.traffic(pair.service.name, to(pair.second, 100))
    until(lambda: driver.answering(pair.service.uri), lambda revision: revision == pair.second)


def test_error_although_applied(driver: Driver, pair: RevisionPair) -> None:
    service, _, second = pair
    driver.fault(
        method="PATCH", path=f"services/{short_name(service.name)}$", http=503, applied=True
    )
    with pytest.raises(exceptions.ServiceUnavailable):
        driver.traffic(service.name, to(second, 100))
    until(lambda: driver.answering(service.uri), lambda revision: revision == second)


def test_rule_for_a_text_in_the_body_leaves_other_calls_alone(driver: Driver) -> None:
    url = f"{driver.cloud.endpoint}/v4/spreadsheets/of-texts/values/A:append?valueInputOption=RAW"
    driver.fault(method="POST", path="of-texts", contains="4711", http=403, times=None)
    found = [
        requests.post(url, json={"values": [[text]]}, timeout=20).status_code
        for text in ("4712", "4711", "4711", "4713")
    ]
    assert found == [200, 403, 403, 200]


def test_rules_of_one_name_are_dropped_alone(driver: Driver) -> None:
    rules = [{"path": "x", "http": 503, "name": "mine"}, {"path": "y", "http": 503}]
    driver.local("POST", "faults", rules)
    faults = driver.local("DELETE", "faults?name=mine")["faults"]
    assert isinstance(faults, list)
    assert [rule["path"] for rule in faults] == ["y"]
    driver.local("DELETE", "faults")


def test_hung_call_ends_when_the_faults_are_cleared(driver: Driver, pair: RevisionPair) -> None:
    service = pair.service
    url = f"{driver.cloud.endpoint}/v2/{service.name}"
    driver.fault(method="GET", path=f"services/{short_name(service.name)}$", hang=True, times=2)
    with pytest.raises(requests.ReadTimeout):
        driver.http.get(url, timeout=0.3)
    failures: list[type[Exception]] = []

    def call() -> None:
        try:
            driver.http.get(url, timeout=20)
        except requests.RequestException as error:
            failures.append(type(error))

    thread = threading.Thread(target=call)
    thread.start()
    until(lambda: driver.local("GET", "faults")["faults"], lambda rules: rules[0]["given"] == 2)  # type: ignore[index]
    driver.local("DELETE", "faults")
    thread.join()
    assert failures == [requests.ConnectionError]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("build_failed", "Build failed.*no space"),
        ("start_failed", "Container Healthcheck failed.*no space"),
    ],
)
def test_failed_build_or_start_on_request(
    driver: Driver, pair: RevisionPair, kind: str, told: str
) -> None:
    service, function_id = pair.service, "pair"
    driver.fault(
        method="PATCH",
        path=f"functions/{function_id}$",
        operation={"kind": kind, "message": "no space"},
    )
    with pytest.raises(exceptions.InvalidArgument, match=f"(?s){told}"):
        driver.update(driver.function(function_id, who(2)), "build_config")
    assert driver.get(service.uri).json()["version"] == 1


def test_operation_that_fails_after_success_was_applied(driver: Driver, function_id: str) -> None:
    service = driver.deploy(function_id, who())
    driver.fault(
        method="PATCH", path=f"functions/{function_id}$", operation={"kind": "fail_after_success"}
    )
    with pytest.raises(exceptions.InternalServerError):
        driver.update(driver.function(function_id, who(2)), "build_config")
    assert driver.get(service.uri).json()["version"] == 2


@pytest.mark.parametrize("is_applied", [False, True])
def test_operation_that_never_ends(driver: Driver, pair: RevisionPair, is_applied: bool) -> None:
    service, first, second = pair
    operation = {"kind": "never_done", "applied": is_applied}
    driver.fault(method="PATCH", path=f"services/{short_name(service.name)}$", operation=operation)
    message = run_v2.Service(name=service.name, etag=service.etag, traffic=[to(second, 100)])
    request = run_v2.UpdateServiceRequest(service=message, update_mask={"paths": ["traffic"]})
    running = driver.services.update_service(request, timeout=20)
    wanted = second if is_applied else first
    until(lambda: driver.answering(service.uri), lambda revision: revision == wanted)
    assert not is_done(running)
    driver.traffic(service.name, to(first, 100))  # the platform still takes a rollback
    assert driver.answering(service.uri) == first


def test_slow_operation_takes_its_time(driver: Driver, pair: RevisionPair) -> None:
    service, first, second = pair
    driver.fault(
        method="PATCH",
        path=f"services/{short_name(service.name)}$",
        operation={"kind": "slow", "slow_s": 0.6},
    )
    message = run_v2.Service(name=service.name, traffic=[to(second, 100)])
    request = run_v2.UpdateServiceRequest(service=message, update_mask={"paths": ["traffic"]})
    operation = driver.services.update_service(request, timeout=20)
    assert not is_done(operation)
    assert driver.answering(service.uri) == first
    finished(operation)
    assert driver.answering(service.uri) == second


def test_half_applied_traffic_shows_in_the_statuses(driver: Driver, pair: RevisionPair) -> None:
    service, first, second = pair
    driver.fault(
        method="PATCH", path=f"services/{short_name(service.name)}$", traffic="half_applied"
    )
    with pytest.raises(exceptions.GoogleAPICallError, match="completely"):
        driver.traffic(service.name, to(second, 100))
    after = driver.service(service.name)
    assert {s.revision: s.percent for s in after.traffic_statuses} == {first: 50, second: 50}
    assert [t.revision for t in after.traffic] == [second]
    assert after.terminal_condition.state == run_v2.Condition.State.CONDITION_FAILED
    assert {driver.answering(service.uri) for _ in range(4)} == {first, second}
    driver.traffic(service.name, to(first, 100))
    assert driver.answering(service.uri) == first


def test_stale_read_gives_what_was_before(driver: Driver, pair: RevisionPair) -> None:
    service, first, second = pair
    driver.traffic(service.name, to(second, 100))
    driver.fault(method="GET", path=f"services/{short_name(service.name)}$", stale=True, times=2)
    seen = [driver.service(service.name).traffic[0].revision for _ in range(3)]
    assert seen == [first, first, second]


def test_stale_tag_leads_to_the_old_revision_for_a_while(
    driver: Driver, pair: RevisionPair
) -> None:
    service, first, second = pair
    driver.traffic(service.name, to(first, 100), to(first, tag="try"))
    driver.fault(method="PATCH", path=f"services/{short_name(service.name)}$", stale_tag=2)
    after = driver.traffic(service.name, to(first, 100), to(second, tag="try"))
    url = after.traffic_statuses[1].uri
    assert [driver.answering(url) for _ in range(3)] == [first, first, second]


def test_stale_new_tag_leads_to_what_serves_for_a_while(driver: Driver, pair: RevisionPair) -> None:
    service, first, second = pair
    driver.traffic(service.name, to(first, 100))
    driver.fault(method="PATCH", path=f"services/{short_name(service.name)}$", stale_tag=2)
    after = driver.traffic(service.name, to(first, 100), to(second, tag="new"))
    url = after.traffic_statuses[1].uri
    assert [driver.answering(url) for _ in range(3)] == [first, first, second]


def test_missing_image_keeps_traffic_where_it_is(driver: Driver, pair: RevisionPair) -> None:
    service, first, second = pair
    driver.traffic(service.name, to(second, 100))
    until(
        lambda: driver.local("GET", f"revisions/{first}/statistics")["is_running"],
        lambda found: not found,
    )
    driver.fault(image_missing=first)
    with pytest.raises(exceptions.NotFound, match=r"Image .* not found"):
        driver.traffic(service.name, to(first, 100))
    assert driver.answering(service.uri) == second


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"method": "GET"}, "rule 0: has no effect"),
        ({"http": 503, "hang": True}, "more than one effect: http, hang"),
        ({"http": 200}, "http must be a whole number from 400 to 599"),
        ({"http": 503, "paht": "x"}, "unknown field 'paht'"),
        ({"http": 503, "path": "("}, "path is no regular expression"),
        ({"drop": "during"}, "drop must be one of before, after, middle"),
        ({"operation": {"kind": "odd"}}, "kind must be one of build_failed"),
        ({"http": 503, "times": 0}, "times must be a whole number from 1"),
        ({"delay_s": -1}, "delay_s must be a number of seconds"),
        ("http", "a rule is an object"),
    ],
)
def test_bad_rule_is_refused_by_name(driver: Driver, rule: object, told: str) -> None:
    answer = driver.http.post(f"{driver.cloud.endpoint}/_local/faults", json=[rule], timeout=20)
    assert answer.status_code == 400
    assert told in answer.json()["error"]["message"]
    assert driver.local("GET", "faults") == {"faults": []}


def test_revision_with_a_fault_errs_lies_and_bloats_until_told_otherwise(
    driver: Driver, pair: RevisionPair
) -> None:
    service, first, _ = pair
    path = f"revisions/{first}/inject_fault"
    driver.local("POST", path, {"error_ratio": 0.25, "status": 502})
    assert [driver.get(service.uri).status_code for _ in range(8)].count(502) == 2
    driver.local("POST", path, {"body": '{"lies": true}'})
    assert driver.get(service.uri).json() == {"lies": True}
    driver.local("POST", path, {"memory_mb": 5000})
    statistics = f"revisions/{first}/statistics"
    until(lambda: driver.local("GET", statistics)["memory_kills"], lambda kills: kills != 0)
    driver.local("DELETE", path)
    assert until(lambda: driver.get(service.uri).status_code, lambda status: status == 200)
    assert driver.answering(service.uri) == first


def test_latency_is_added_and_counted(driver: Driver, pair: RevisionPair) -> None:
    service, revision, _ = pair
    driver.local("POST", f"revisions/{revision}/inject_fault", {"latency_s": 0.3})
    driver.get(service.uri)
    latency = driver.local("GET", f"revisions/{revision}/statistics")["latency_s"]
    assert isinstance(latency, dict)
    assert latency["max"] >= 0.3


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"error_ratio": 2}, "error_ratio must be a number from 0 to 1"),
        ({"oops": 1}, "unknown field 'oops'"),
        ({"kill": 1}, "kill must be true or false"),
        ({"status": 200}, "status must be a whole number from 400 to 599"),
    ],
)
def test_bad_fault_is_refused(driver: Driver, pair: RevisionPair, body: object, told: str) -> None:
    url = f"{driver.cloud.endpoint}/_local/revisions/{pair.first}/inject_fault"
    answer = driver.http.post(url, json=body, timeout=20)
    assert (answer.status_code, told in answer.json()["error"]["message"]) == (400, True)
    nobody = f"{driver.cloud.endpoint}/_local/revisions/nobody/inject_fault"
    assert driver.http.post(nobody, json={}, timeout=20).status_code == 404


def test_sheet_that_answers_503_although_the_rows_were_written(driver: Driver) -> None:
    url = f"{driver.cloud.endpoint}/v4/spreadsheets/faulty/values/T!B2"
    driver.fault(method="PUT", path="/v4/spreadsheets/faulty/", http=503, applied=True)
    answer = driver.http.put(
        url, params={"valueInputOption": "RAW"}, json={"values": [["x"]]}, timeout=20
    )
    assert answer.status_code == 503
    assert driver.get(url).json()["values"] == [["x"]]
