"""Nothing that a client sends is answered by a defect, and nobody but this machine gets an answer."""

import http.client
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import functions_v2

from pytest_deploygate.emulator.lifecycle import ensure_running, stop
from tests.emulator.emulator_driver import PARENT, Driver, RevisionPair, finished, who

_F = f"/v2/{PARENT}/functions"
_S = f"/v2/{PARENT}/services"
_SERIES = (
    "/v3/projects/p/timeSeries?filter=metric.type=%22run.googleapis.com/request_count%22"
    "&interval.startTime=2026-01-01T00:00:00Z&interval.endTime=2026-01-01T00:01:00Z"
)
_DEEP = b'{"a":' * 5000 + b"1" + b"}" * 5000
_BAD = [
    ("POST", f"{_F}?functionId=f", _DEEP),
    ("POST", f"{_F}?functionId=f", b"[" * 100_000),
    ("POST", f"{_F}?functionId=f", b'{"serviceConfig": {"timeoutSeconds": 1e400}}'),
    ("POST", f"{_F}?functionId=f", b'{"serviceConfig": {"timeoutSeconds": %s}}' % (b"9" * 5000)),
    ("POST", f"{_F}?functionId=f", b'{"serviceConfig": {"timeoutSeconds": NaN}}'),
    ("POST", f"{_F}?functionId=f", b'{"description": "\\ud800"}'),
    ("POST", f"{_F}?functionId=f", b'{"description": "\xed\xa0\x80"}'),
    ("POST", f"{_F}?functionId=f", b'{"labels": [1]}'),
    ("POST", f"{_F}?functionId=f", b'{"labels": {"a": {}}}'),
    ("POST", f"{_F}?functionId=f", b"\xff\xfe"),
    ("POST", f"{_F}?functionId=f", b"null"),
    ("POST", f"{_F}?functionId=f", b'{"labels": {"a": "%s"}}' % (b"x" * 1_100_000)),
    ("POST", f"{_F}?functionId=f", b'{"description": "%s"}' % (b"x" * 11_000_000)),
    ("POST", f"{_F}?functionId=f", b'{"description": "%s\\ud800"}' % (b"x" * 100_000)),
    ("POST", f"{_F}?functionId=f", b'{"a": NaN, "b": "%s"}' % (b"x" * 100_000)),
    ("POST", f"{_F}?functionId=f", b"[" * 100_000 + b"]" * 100_000),
    ("GET", f"{_F}?filter=a{'%20' * 2500}b", b""),
    ("GET", f"{_F}?orderBy=a%20b", b""),
    (
        "POST",
        "/v2/entries:list",
        b'{"resourceNames": ["projects/p"], "pageSize": %s}' % (b"9" * 40),
    ),
    ("POST", "/v2/entries:list", b'{"resourceNames": ["projects/p"], "pageSize": -1}'),
    ("POST", "/v2/entries:list", b'{"resourceNames": ["projects/p"], "pageSize": "x"}'),
    (
        "GET",
        f"{_SERIES}&aggregation.alignmentPeriod={'9' * 5000}s",
        b"",
    ),
    ("POST", f"{_F}?functionId={'f' * 5000}", b"{}"),
    ("POST", f"{_F}?functionId=%00", b"{}"),
    ("GET", f"{_F}?pageSize=%C2%B2", b""),
    ("GET", f"{_F}?pageSize={'9' * 5000}", b""),
    ("GET", f"{_F}?pageSize=-1", b""),
    ("GET", f"{_F}/{'n' * 6000}", b""),
    ("GET", f"{_F}/%00", b""),
    ("GET", f"{_F}/%ED%A0%80", b""),
    ("PATCH", f"{_S}/none?updateMask={'a.' * 2000}", b"{}"),
    ("GET", "/v4/spreadsheets/%00/values/A1", b""),
    ("GET", f"/v4/spreadsheets/{'s' * 5000}/values/A1", b""),
    ("PUT", "/v4/spreadsheets/%00/values/A1?valueInputOption=RAW", b'{"values": [["x"]]}'),
    ("GET", "/_local/admin-log?after=%C2%B2", b""),
    ("GET", f"/_local/traffic-log?after={'9' * 5000}", b""),
    ("GET", f"/_local/builds/{'b' * 3000}/log", b""),
    ("GET", "/_local/builds/%C2%B2/log", b""),
    ("GET", "/_local/revisions/..%2F..%2Fx/log", b""),
    ("POST", "/_local/faults", _DEEP),
    ("POST", "/_local/faults", b'[{"http": 500, "times": 1e400}]'),
    ("PUT", "/_local/storage/b/o?X-Goog-Expires=%C2%B2&X-Goog-Signature=x", b""),
    ("PUT", f"/_local/storage/b/o?X-Goog-Expires={'9' * 5000}&X-Goog-Signature=x", b""),
    ("PUT", "/_local/storage/b/o?X-Goog-Expires=99999999999&X-Goog-Signature=%C3%A9", b""),
]


@pytest.mark.parametrize(("method", "path", "body"), _BAD)
def test_bad_input_is_a_client_error_in_googles_form(
    shared_driver: Driver, method: str, path: str, body: bytes
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", _port(shared_driver), timeout=20)
    connection.request(method, path, body=body)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert 400 <= answer.status < 500, text[:300]
    error = json.loads(text)["error"]
    assert (error["code"], "defect" in error["message"]) == (answer.status, False)
    assert error["status"].isupper()
    assert shared_driver.http.get(f"{shared_driver.cloud.endpoint}{_F}", timeout=20).ok


def _port(driver: Driver) -> int:
    return urlsplit(driver.cloud.endpoint).port or 0


def test_object_with_too_many_fields_is_refused(shared_driver: Driver) -> None:
    answer = shared_driver.http.post(
        f"{shared_driver.cloud.endpoint}{_F}?functionId=f",
        json={"labels": {f"label{number}": "x" for number in range(20_000)}},
        timeout=20,
    )
    assert answer.status_code == 400
    assert "An object has more than 10000 fields." in answer.json()["error"]["message"]


def _named(count: int) -> dict[str, str]:
    return {f"name{number}": "x" for number in range(count)}


_LATEST = {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"}
_LONG: list[tuple[str, str, object]] = [
    ("PATCH", "?updateMask=labels", {"labels": _named(65)}),
    ("PATCH", "?updateMask=annotations", {"annotations": _named(1001)}),
    ("PATCH", "?updateMask=template.labels", {"template": {"labels": _named(65)}}),
    ("PATCH", "?updateMask=template.annotations", {"template": {"annotations": _named(1001)}}),
    ("PATCH", "?updateMask=traffic", {"traffic": [{"percent": 100, **_LATEST}, *[_LATEST] * 1000]}),
    ("POST", ":setIamPolicy", {"policy": {"bindings": [{"members": ["user:u"] * 1501}]}}),
    ("POST", ":setIamPolicy", {"policy": {"bindings": [{"role": "r"}] * 1501}}),
]


@pytest.mark.parametrize(("method", "verb", "body"), _LONG)
def test_list_longer_than_the_platform_takes_is_refused(
    driver: Driver, pair: RevisionPair, method: str, verb: str, body: object
) -> None:
    """What is stored is gone through again and again, and holds up others each time."""
    url = f"{driver.cloud.endpoint}/v2/{pair.service.name}{verb}"
    answer = driver.http.request(method, url, json=body, timeout=30)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert driver.service(pair.service.name) == pair.service


def test_more_fault_rules_than_a_call_can_be_compared_with_are_refused(driver: Driver) -> None:
    url = f"{driver.cloud.endpoint}/_local/faults"
    rules = [{"path": "^/nowhere", "http": 500}] * 600
    codes = [driver.http.post(url, json=rules, timeout=30).status_code for _ in range(2)]
    assert codes == [200, 400]
    assert driver.http.post(url, json=rules * 2, timeout=30).status_code == 400
    assert len(driver.http.get(url, timeout=30).json()["faults"]) == 600


def test_junk_that_says_it_is_gzip_is_a_client_error(shared_driver: Driver) -> None:
    answer = shared_driver.http.post(
        f"{shared_driver.cloud.endpoint}{_F}?functionId=f",
        data=b"junk",
        headers={"Content-Encoding": "gzip"},
        timeout=20,
    )
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("value", ["a\0b", "x" * 40_000], ids=["null", "long"])
def test_variable_that_no_process_can_have_is_refused(
    driver: Driver, function_id: str, value: str
) -> None:
    wanted = driver.function(
        function_id,
        """\
def hello(r):
    return ''
""",
    )
    body = {"buildConfig": {"runtime": "python311", "entryPoint": "hello", "source": {
        "storageSource": {
            "bucket": wanted.build_config.source.storage_source.bucket,
            "object": wanted.build_config.source.storage_source.object_,
        }}}, "serviceConfig": {"environmentVariables": {"A": value}}}  # fmt: skip
    answer = driver.http.post(
        f"{driver.cloud.endpoint}{_F}?functionId={function_id}", json=body, timeout=20
    )
    assert (answer.status_code, "32 KiB" in answer.text) == (400, True)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "169.254.169.254", "", "127.0.0.1.evil.example"]
)
def test_request_for_another_host_is_refused(driver: Driver, pair: RevisionPair, host: str) -> None:
    """A web page whose name was rebound to 127.0.0.1 must not read logs, variables or rows."""
    for url in (f"{driver.cloud.endpoint}/_local/admin-log", pair.service.uri):
        parts = urlsplit(url)
        connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=20)
        connection.putrequest("GET", parts.path or "/", skip_host=True)
        connection.putheader("Host", host.format(port=parts.port))
        connection.endheaders()
        assert connection.getresponse().status in {403, 404}
        connection.close()


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "[::1]:80", "app.localhost"])
def test_loopback_by_any_name_is_served(driver: Driver, pair: RevisionPair, host: str) -> None:
    assert requests.get(pair.service.uri, headers={"Host": host}, timeout=20).ok


def test_folder_of_records_is_private_whoever_makes_it(tmp_path: Path) -> None:
    home = tmp_path / ".deploygate" / "local"
    ensure_running(home)
    stop(home)
    root = home.parent
    assert (root.stat().st_mode & 0o777, home.stat().st_mode & 0o777) == (0o700, 0o700)
    assert (root / ".gitignore").read_text() == "*\n"


def test_after_a_defect_the_next_call_works(driver: Driver, function_id: str) -> None:
    """Here somebody has taken the archive away, which nothing expects."""
    name = f"{PARENT}/functions/{function_id}"
    sources = Path(str(driver.local("GET", "health")["home"]), "sources")

    def without_archive(release: int) -> functions_v2.Function:
        before = set(sources.iterdir())
        wanted = driver.function(function_id, who(release))
        for archive in set(sources.iterdir()) - before:
            archive.unlink()
        return wanted

    with pytest.raises(GoogleAPICallError, match="defect"):
        driver.create(without_archive(9901))
    assert driver.functions.get_function(name=name, timeout=20).state.name == "FAILED"
    first = driver.update(driver.function(function_id, who(9902)), "build_config")
    with pytest.raises(GoogleAPICallError, match="defect"):
        driver.update(without_archive(9903), "build_config")
    found = driver.functions.get_function(name=name, timeout=20)
    assert (found.state, found.service_config.revision) == (
        first.state,
        first.service_config.revision,
    )
    later = driver.update(driver.function(function_id, who(9904)), "build_config")
    assert later.service_config.revision != first.service_config.revision
    finished(driver.functions.delete_function(name=name, timeout=20))
