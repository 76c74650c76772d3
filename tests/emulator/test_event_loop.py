"""No request keeps others waiting: how many are answered between the moment that one was sent whole and its answer."""

import asyncio
import http.client
import json
import select
import threading
from collections.abc import Callable
from os import PathLike
from pathlib import Path, PosixPath
from typing import ClassVar, Self

import psutil
import pytest
from google.cloud import functions_v2
from google.longrunning import operations_pb2
from typing_extensions import override

from pytest_deploygate.emulator.storage.source_uploads import Sources
from pytest_deploygate.emulator.storage.state import EmulatorState
from tests.emulator.emulator_driver import PARENT, Driver, RevisionPair

_ENTRIES = 600
_FEW = 5
"""One is answered after whatever holds up all others; many are if nothing does."""


@pytest.fixture
def full(own_home: Path, running: Callable[[], Driver]) -> Driver:
    """An emulator that much was deployed to."""
    state = EmulatorState(own_home)
    variables = {f"NAME_{number}": "value" * 10 for number in range(50)}
    with state.transaction():
        for number in range(_ENTRIES):
            function = functions_v2.Function.pb()(name=f"{PARENT}/functions/f{number}")
            function.service_config.environment_variables.update(variables)
            state.functions.put(function.name, function)
            operation = operations_pb2.Operation(name=f"{PARENT}/operations/{number:05}", done=True)
            operation.response.Pack(function)
            state.operations.put(operation.name, operation)
        for _ in range(20_000):
            state.log_traffic("s", {"traffic": [{"revision": "s-1", "percent": 100}]})
    state.close()
    return running()


def _answered_meanwhile(driver: Driver, method: str, path: str, body: bytes = b"") -> int:
    endpoint = driver.cloud.endpoint.removeprefix("http://")
    connection = http.client.HTTPConnection(endpoint, timeout=60)
    connection.request(method, path, body)
    count = 0
    while not select.select([connection.sock], [], [], 0)[0]:
        driver.local("GET", "health")
        count += 1
    answer = connection.getresponse()
    assert answer.status < 500
    assert json.loads(answer.read())
    connection.close()
    return count


def test_other_requests_are_answered_while_much_is_listed(full: Driver) -> None:
    for path in ("functions", "functions?filter=name:f599&orderBy=name", "operations"):
        url = f"/v2/{PARENT}/{path}{'&' if '?' in path else '?'}pageSize=1000"
        assert _answered_meanwhile(full, "GET", url) > _FEW, path


def test_other_requests_are_answered_while_a_large_body_is_read(full: Driver) -> None:
    labels = {f"label{number}": "x" for number in range(9000)}
    bodies = [
        {"labels": labels, "kmsKeyName": "k" * 600_000},
        {
            "labels": labels,
            "serviceConfig": {"environmentVariables": labels | {"LONG": "v" * 500_000}},
        },
    ]
    for body in bodies:
        url = f"/v2/{PARENT}/functions?functionId=large"
        assert _answered_meanwhile(full, "POST", url, json.dumps(body).encode()) > _FEW


def test_long_log_is_sent_as_it_is_read(full: Driver) -> None:
    """The first entries are there before the last ones were looked up, and in between others are answered."""
    with full.http.get(
        f"{full.cloud.endpoint}/_local/traffic-log", stream=True, timeout=60
    ) as answer:
        pieces = answer.iter_content(1000)
        first = next(pieces)
        assert full.local("GET", "health")["pid"]
        entries = json.loads(first + b"".join(pieces))["entries"]
    assert [entry["seq"] for entry in entries] == list(range(1, 20_001))


def test_large_archive_comes_back_as_it_was_sent(driver: Driver) -> None:
    content = bytes(range(256)) * 40_000
    source = driver.upload(content)
    state = driver.local("GET", "health")
    kept = [path.read_bytes() for path in Path(str(state["home"]), "sources").iterdir()]
    assert content in kept
    assert not list(Path(str(state["home"]), "sources").glob("*.partial"))
    assert source.object_


def test_archive_above_the_limit_is_refused_and_leaves_nothing(driver: Driver) -> None:
    place = driver.functions.generate_upload_url({"parent": PARENT}, timeout=20)
    pieces = (b"x" * (1 << 20) for _ in range(101))
    answer = driver.http.put(
        place.upload_url, data=pieces, headers={"content-type": "application/zip"}, timeout=60
    )
    assert (answer.status_code, answer.json()["error"]["status"]) == (413, "INVALID_ARGUMENT")
    home = Path(str(driver.local("GET", "health")["home"]))
    assert list((home / "sources").glob("*.partial")) == []


class WatchedPath(PosixPath):
    """Notes the threads that wait for the file system."""

    waiting: ClassVar[set[int]] = set()

    @override
    def replace(self, target: str | PathLike[str]) -> Self:
        self.waiting.add(threading.get_ident())
        return super().replace(target)

    @override
    def unlink(self, missing_ok: bool = False) -> None:
        self.waiting.add(threading.get_ident())
        super().unlink(missing_ok)


def test_event_loop_does_not_wait_until_an_archive_is_freed(tmp_path: Path) -> None:
    """Whether another archive takes its place, or it was cut off."""
    state = EmulatorState(tmp_path)
    sources = Sources(WatchedPath(tmp_path), state)

    async def upload(*, is_whole: bool) -> None:
        async with sources.receive("bucket", "name") as archive:
            archive.write(b"content")
            if not is_whole:
                raise ConnectionResetError

    asyncio.run(upload(is_whole=True))
    asyncio.run(upload(is_whole=True))
    with pytest.raises(ConnectionResetError):
        asyncio.run(upload(is_whole=False))
    state.close()
    assert [path.read_bytes() for path in (tmp_path / "sources").iterdir()] == [b"content"]
    assert WatchedPath.waiting
    assert threading.get_ident() not in WatchedPath.waiting


def test_body_is_not_read_for_the_log_before_somebody_looks_at_it(
    running: Callable[[], Driver],
) -> None:
    """It costs as much as one that is no JSON at all."""
    driver = running()
    numbers = ("[" + "0," * 60_000 + "0]").encode()
    emulator = psutil.Process(driver.cloud.pid)

    def cost_s(body: bytes) -> float:
        before = sum(emulator.cpu_times()[:2])
        for _ in range(30):
            path = f"{driver.cloud.endpoint}/v2/unknown"
            assert driver.http.post(path, data=body, timeout=60).status_code == 404
        return float(sum(emulator.cpu_times()[:2]) - before)

    as_text = cost_s(b"x" * len(numbers))
    assert driver.calls()[-1]["request"] == f"<{len(numbers)} bytes>"
    assert cost_s(numbers) < 5 * as_text + 0.1
    assert driver.calls()[-1]["request"] == [0] * 60_001


def test_figures_of_all_times_are_told_at_once(driver: Driver, pair: RevisionPair) -> None:
    """There are billions of minutes, and something was observed in one or two of them."""
    for _ in range(3):
        assert driver.get(pair.service.uri).ok
    aggregation = {
        "alignmentPeriod": "60s",
        "perSeriesAligner": "ALIGN_DELTA",
        "crossSeriesReducer": "REDUCE_SUM",
        "groupByFields": "metric.labels.response_code_class",
    }
    query = {
        "filter": 'metric.type="run.googleapis.com/request_count" AND resource.type="cloud_run_revision"'
        f' AND resource.labels.revision_name="{pair.first}"',
        "interval.startTime": "1970-01-01T00:00:00Z",
        "interval.endTime": "9998-01-01T00:00:00Z",
    } | {f"aggregation.{name}": value for name, value in aggregation.items()}
    url = f"{driver.cloud.endpoint}/v3/projects/p1/timeSeries"
    told = driver.http.get(url, params=query, timeout=30).json()["timeSeries"]
    # other tests may have had this revision fail
    points = {one["metric"]["labels"]["response_code_class"]: one["points"] for one in told}["2xx"]
    assert sum(int(point["value"]["int64Value"]) for point in points) >= 3
    assert len(points) < 100


def test_entries_of_very_many_projects_are_refused(driver: Driver) -> None:
    projects = [f"projects/p{number}" for number in range(101)]
    url = f"{driver.cloud.endpoint}/v2/entries:list"
    answer = driver.http.post(url, json={"resourceNames": projects}, timeout=30)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.fixture
def large_sheet(running: Callable[[], Driver]) -> tuple[Driver, str]:
    """An emulator, and the URL of 300,000 cells in it."""
    driver = running()
    url = f"{driver.cloud.endpoint}/v4/spreadsheets/large/values/Rows"
    rows = {"values": [["cell"] * 20] * 15_000}
    answer = driver.http.post(f"{url}!A1:append?valueInputOption=RAW", json=rows, timeout=60)
    assert answer.ok, answer.text
    return driver, url


def test_large_answer_comes_whole_and_is_logged_by_its_length(
    large_sheet: tuple[Driver, str],
) -> None:
    driver, url = large_sheet
    answer = driver.http.get(url, timeout=60)
    assert answer.json()["values"] == [["cell"] * 20] * 15_000
    length = len(answer.content)
    assert answer.headers["Content-Length"] == str(length)
    assert driver.calls()[-1]["response"] == f"<{length} bytes>"


def test_large_answer_breaks_off_in_the_middle_when_a_fault_asks_for_it(
    large_sheet: tuple[Driver, str],
) -> None:
    driver, url = large_sheet
    whole = driver.http.get(url, timeout=60).content
    driver.fault(method="GET", path="/v4/spreadsheets/large", drop="middle")
    connection = http.client.HTTPConnection(driver.cloud.endpoint.removeprefix("http://"))
    connection.request("GET", url.removeprefix(driver.cloud.endpoint))
    with pytest.raises(http.client.IncompleteRead) as cut:
        connection.getresponse().read()
    connection.close()
    assert cut.value.partial == whole[: len(whole) // 2]


def test_cells_are_as_before_when_a_change_of_many_fails(large_sheet: tuple[Driver, str]) -> None:
    driver, url = large_sheet
    place = {"sheetId": 0, "dimension": "ROWS", "startIndex": 0, "endIndex": 1}
    changes = [{"insertDimension": {"range": place}}, {"deleteSheet": {"sheetId": 99}}]
    batch = url.replace("/values/Rows", ":batchUpdate")
    answer = driver.http.post(batch, json={"requests": changes}, timeout=60)
    assert answer.status_code == 400
    first = driver.http.get(f"{url}!A1:B2", timeout=60).json()["values"]
    assert first == [["cell", "cell"]] * 2
