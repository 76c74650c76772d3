"""Services: traffic under etags, tags, shares that are exact, no request lost, and what a function may cost."""

import threading
from collections import Counter

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

from tests.emulator.emulator_driver import (
    Driver,
    RevisionPair,
    finished,
    finished_service,
    latest,
    make_pair,
    short_name,
    to,
    until,
    who,
)

_SLOW = "import time\ndef hello(request):\n    time.sleep(float(request.args.get('s', 0)))\n    return 'slept'"
_EATER = """
import time
kept = []
def hello(request):
    kept.append(b"x" * (1 << 20) * int(request.args.get("mb", 0)))
    time.sleep(float(request.args.get("s", 0)))
    return "full"
"""


def test_tag_has_its_own_url_that_stays_with_it(driver: Driver, pair: RevisionPair) -> None:
    service, first, second = pair
    tagged = driver.traffic(service.name, to(first, 100), to(second, tag="dg-cand"))
    url = tagged.traffic_statuses[1].uri
    assert url != service.uri
    assert (driver.answering(url), driver.answering(service.uri)) == (second, first)
    moved = driver.traffic(service.name, to(second, 100), to(first, tag="dg-cand"))
    assert moved.traffic_statuses[1].uri == url
    assert driver.answering(url) == first
    driver.traffic(service.name, to(second, 100))
    assert driver.get(url).status_code == 404


def test_stale_etag_is_a_conflict_and_changes_nothing(driver: Driver, pair: RevisionPair) -> None:
    service, first, second = pair
    driver.traffic(service.name, to(first, 90), to(second, 10))
    with pytest.raises(exceptions.Conflict) as raised:
        driver.traffic(service.name, to(second, 100), etag=service.etag)
    assert raised.value.response.json()["error"]["status"] == "ABORTED"
    assert [t.percent for t in driver.service(service.name).traffic] == [90, 10]


def test_validate_only_changes_nothing(driver: Driver, pair: RevisionPair) -> None:
    service, first, second = pair
    message = run_v2.Service(name=service.name, etag=service.etag, traffic=[to(second, 100)])
    request = run_v2.UpdateServiceRequest(
        service=message, update_mask={"paths": ["traffic"]}, validate_only=True
    )
    operation = driver.services.update_service(request, timeout=20)
    assert finished_service(operation).traffic == [to(second, 100)]
    assert driver.service(service.name) == service
    assert driver.answering(service.uri) == first


@pytest.mark.parametrize("problem", ["sum", "unknown", "tag twice", "tag too long"])
def test_impossible_traffic_is_refused(driver: Driver, pair: RevisionPair, problem: str) -> None:
    service, first, second = pair
    wanted = {
        "sum": [to(first, 60), to(second, 50)],
        "unknown": [to("nobody-00001-abc", 100)],
        "tag twice": [to(first, 100), to(first, tag="a"), to(second, tag="a")],
        "tag too long": [to(first, 100), to(second, tag="a" * 45)],
    }[problem]
    with pytest.raises(exceptions.BadRequest, match=r"service\.traffic"):
        driver.traffic(service.name, *wanted)
    assert driver.answering(service.uri) == first


def test_writing_a_whole_service_back_is_refused_as_on_the_platform(
    driver: Driver, pair: RevisionPair
) -> None:
    service, _, second = pair
    service.traffic = [to(second, 100)]
    with pytest.raises(exceptions.Conflict, match="different configuration already exists"):
        driver.services.update_service(service=service, timeout=20)


def test_new_template_makes_a_new_revision_of_the_same_image(
    driver: Driver, function_id: str
) -> None:
    service = driver.deploy(function_id, who(), COLOR="red")
    service.template.revision = ""
    service.template.containers[0].env[0].value = "blue"
    message = run_v2.Service(name=service.name, template=service.template)
    request = run_v2.UpdateServiceRequest(service=message, update_mask={"paths": ["template"]})
    after = finished_service(driver.services.update_service(request, timeout=20))
    assert driver.get(service.uri).json()["color"] == "blue"
    newer = driver.revisions.get_revision(name=after.latest_ready_revision, timeout=20)
    assert newer.containers[0].image == service.template.containers[0].image


def test_conditions_tell_that_traffic_holds(driver: Driver, pair: RevisionPair) -> None:
    service, first, second = pair
    after = driver.traffic(service.name, to(first, 75), to(second, 25))
    assert after.terminal_condition.state == run_v2.Condition.State.CONDITION_SUCCEEDED
    assert not after.reconciling
    assert after.observed_generation == after.generation > service.generation
    assert [(s.revision, s.percent) for s in after.traffic_statuses] == [(first, 75), (second, 25)]


def test_shares_are_exact_over_a_hundred_requests(driver: Driver, pair: RevisionPair) -> None:
    service, first, second = pair
    driver.traffic(service.name, to(first, 93), to(second, 7))
    found = Counter(driver.answering(service.uri) for _ in range(100))
    assert found == {first: 93, second: 7}


def test_no_request_is_lost_while_traffic_is_switched(driver: Driver, pair: RevisionPair) -> None:
    service, first, second = pair
    is_over = threading.Event()
    statuses: Counter[int] = Counter()

    def load() -> None:
        while not is_over.is_set():
            answer = driver.http.post(service.uri, json={"a": 1}, timeout=30)
            statuses[answer.status_code] += 1

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(20):
        driver.traffic(service.name, to(second if turn % 2 == 0 else first, 100))
    is_over.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}
    assert statuses[200] > 50


def test_stopping_a_revision_waits_for_its_requests(driver: Driver, function_id: str) -> None:
    service = driver.deploy(function_id, _SLOW)
    first = short_name(service.latest_ready_revision)
    statuses: list[int] = []
    thread = threading.Thread(
        target=lambda: statuses.append(driver.get(f"{service.uri}/?s=2.5").status_code)
    )
    thread.start()
    path = f"revisions/{first}/statistics"
    until(lambda: driver.local("GET", path).get("in_flight"), lambda found: found == 1)
    driver.update(driver.function(function_id, who(2)), "build_config")
    thread.join()
    assert statuses == [200]
    until(lambda: driver.local("GET", path)["is_running"], lambda found: not found)


def test_timeout_is_enforced_with_504(driver: Driver, function_id: str) -> None:
    function = driver.create(driver.function(function_id, _SLOW, timeout_s=1))
    driver.open(function.service_config.service)
    assert driver.get(f"{function.url}/?s=3").status_code == 504
    assert driver.get(function.url).text == "slept"
    found = driver.local("GET", f"revisions/{function.service_config.revision}/statistics")
    assert (found["timeouts"], found["by_class"]) == (1, {"2xx": 1, "5xx": 1})


def test_instance_over_its_memory_limit_is_killed_and_comes_back(
    driver: Driver, function_id: str
) -> None:
    function = driver.create(driver.function(function_id, _EATER, memory="256Mi"))
    driver.open(function.service_config.service)
    assert driver.get(f"{function.url}/?mb=300&s=5").status_code == 503
    path = f"revisions/{function.service_config.revision}/statistics"
    found = driver.local("GET", path)
    assert found["memory_kills"] == 1
    peak = found["memory_mb"]
    assert isinstance(peak, dict)
    assert peak["peak"] > 256
    assert until(lambda: driver.get(function.url).status_code, lambda status: status == 200)


def test_crashed_instance_is_started_again(driver: Driver, pair: RevisionPair) -> None:
    service, revision, _ = pair
    path = f"revisions/{revision}/statistics"
    before = driver.local("GET", path)
    driver.local("POST", f"revisions/{revision}/inject_fault", {"kill": True})
    until(lambda: driver.local("GET", path)["cold_starts"], lambda n: n != before["cold_starts"])
    assert driver.local("GET", path)["crashes"] == int(str(before["crashes"])) + 1
    assert driver.answering(service.uri) == revision


def test_revision_without_use_can_be_deleted_and_others_cannot(
    driver: Driver, function_id: str
) -> None:
    service, first, second = make_pair(driver, function_id)
    driver.traffic(service.name, to(second, 100))
    names = {
        short_name(r.name): r.name for r in driver.revisions.list_revisions(parent=service.name)
    }
    finished(driver.revisions.delete_revision(name=names[first], timeout=20))
    with pytest.raises(exceptions.NotFound):
        driver.revisions.get_revision(name=names[first], timeout=20)
    with pytest.raises(exceptions.BadRequest, match="cannot be deleted"):
        driver.revisions.delete_revision(name=names[second], timeout=20)


def test_policy_etag_guards_against_concurrent_changes(driver: Driver, function_id: str) -> None:
    service = driver.deploy(function_id, who(), public=False)
    policy = driver.services.get_iam_policy({"resource": service.name}, timeout=20)
    driver.open(service.name)
    with pytest.raises(exceptions.Conflict):
        driver.services.set_iam_policy({"resource": service.name, "policy": policy}, timeout=20)
    asked = {"resource": service.name, "permissions": ["run.services.get"]}
    assert driver.services.test_iam_permissions(asked, timeout=20).permissions == [
        "run.services.get"
    ]


def test_latest_follows_only_ready_revisions(driver: Driver, pair: RevisionPair) -> None:
    service, _, second = pair
    driver.traffic(service.name, latest())
    assert driver.answering(service.uri) == second


def test_traffic_log_has_every_list_that_held(driver: Driver, function_id: str) -> None:
    service, first, second = make_pair(driver, function_id)
    driver.traffic(service.name, to(first, 50), to(second, 50))
    driver.traffic(service.name, to(second, 100), to(first, tag="old"))
    entries = driver.local("GET", f"traffic-log?service={service.name}")["entries"]
    assert isinstance(entries, list)
    shares = [{t["revision"]: t["percent"] for t in e["traffic"] if t["percent"]} for e in entries]
    assert shares == [{first: 100}] * 3 + [{first: 50, second: 50}, {second: 100}]
    patched = "services.patch"
    assert [e["reason"] for e in entries] == ["deploy", patched, "deploy", patched, patched]


def test_operations_can_be_listed_and_read_again(driver: Driver, pair: RevisionPair) -> None:
    driver.traffic(pair.service.name, to(pair.second, 100))
    url = f"{driver.cloud.endpoint}/v2/projects/p1/locations/us-central1/operations?pageSize=5"
    found = driver.http.get(url, timeout=20).json()
    assert len(found["operations"]) == 5
    assert found["nextPageToken"]
    name = found["operations"][0]["name"]
    assert driver.functions.get_operation({"name": name}, timeout=20).done
