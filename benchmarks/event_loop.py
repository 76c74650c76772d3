"""How long one request to the emulator keeps all others waiting."""

import http.client
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from google.cloud import functions_v2, run_v2
from google.longrunning import operations_pb2

from benchmarks.figures import Figure, spread
from benchmarks.health_probe import longest_answer
from pytest_deploygate.emulator.lifecycle import ensure_running, stop
from pytest_deploygate.emulator.storage.state import EmulatorState
from tests.emulator.emulator_driver import PARENT, Driver

_MOST_MS = 50
_TURNS = 5
_ENTRIES = 1000
_MIB = 1 << 20
_SHEET = "/v4/spreadsheets/large"
_FUNCTION = """
def hello(request):
    return "x" * (int(request.args.get("mib", 0)) << 20)
"""
Ask = Callable[[], None]


def figures() -> list[Figure]:
    """For each kind of request the longest wait of another one, of all turns; for a machine that does nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        home.mkdir()
        _fill(home)
        with Driver(ensure_running(home)) as driver:
            try:
                return [_figure(driver, what, ask) for what, ask in _requests(driver).items()]
            finally:
                stop(home)


def _figure(driver: Driver, what: str, ask: Ask) -> Figure:
    port = int(driver.cloud.endpoint.rpartition(":")[2])
    waits = []
    for _ in range(_TURNS):
        with longest_answer(port) as found:
            ask()
        waits += found
    return Figure(
        topic="event loop",
        what=f"longest wait of another request during: {what} (worst)",
        value=max(waits) * 1000,
        unit="ms",
        at_most=_MOST_MS,
        note=spread(waits, "ms", 1000),
    )


def _fill(home: Path) -> None:
    """A home in which much was deployed."""
    state = EmulatorState(home)
    service = f"{PARENT}/services/large"
    variables = {f"NAME_{number}": "value" * 10 for number in range(50)}
    with state.transaction():
        for number in range(_ENTRIES):
            function = functions_v2.Function(
                name=f"{PARENT}/functions/f{number}",
                environment=functions_v2.Environment.GEN_2,
                service_config={"environment_variables": variables},
            )
            message = functions_v2.Function.pb(function)
            state.functions.put(function.name, message)
            revision = run_v2.Revision(name=f"{service}/revisions/large-{number:05}-abc")
            revision.containers = [run_v2.Container(name="c", image="i")]
            state.revisions.put(revision.name, run_v2.Revision.pb(revision))
            operation = operations_pb2.Operation(name=f"{PARENT}/operations/{number:05}", done=True)
            operation.response.Pack(message)
            state.operations.put(operation.name, operation)
            for _ in range(50):
                state.log_traffic(service, {"traffic": [{"revision": "s-1", "percent": 100}]})
    state.close()


def _requests(driver: Driver) -> dict[str, Ask]:
    endpoint = driver.cloud.endpoint.removeprefix("http://")
    url = driver.deploy("large", _FUNCTION).uri.removeprefix("http://")

    def ask(method: str, path: str, body: object = None, host: str = endpoint) -> None:
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection = http.client.HTTPConnection(host, timeout=120)
        connection.request(method, path, content, {"Content-Type": "application/zip"})
        answer = connection.getresponse()
        answer.read()
        connection.close()

    def upload() -> None:
        place = driver.functions.generate_upload_url({"parent": PARENT}, timeout=20)
        ask("PUT", place.upload_url.partition(endpoint)[2], archive)

    archive = os.urandom(_MIB) * 100
    labels = {"labels": {f"label{n}": "x" for n in range(50_000)}}
    env = [{"name": f"NAME{n}", "value": "x"} for n in range(30_000)]
    template = {"template": {"containers": [{"image": "i", "env": env}]}}
    fields = {f"label{n}": "x" for n in range(400_000)}
    rows = {"values": [["cell"] * 20] * 45_000}
    odd = {
        "values": [
            [text * (50_000 // len(text)) for text in ("1,", "9", "1/", " ", "$", "1:", "-")]
        ]
        * 20
    }
    first = {"sheetId": 0, "dimension": "ROWS", "startIndex": 0, "endIndex": 1}
    moved = {"requests": [{"insertDimension": {"range": first}}, {"deleteSheet": {"sheetId": 99}}]}
    cells = f"{_SHEET}/values/Rows!A1"
    logged = ("[" + "[]," * 40_000 + "0]").encode()
    latest = {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"}
    targets = {"traffic": [{"percent": 100, **latest}, *[latest] * 999]}
    always = (
        "/v3/projects/p1/timeSeries?filter=metric.type=%22run.googleapis.com/request_count%22"
        "&interval.startTime=1970-01-01T00:00:00Z&interval.endTime=9998-01-01T00:00:00Z"
        "&aggregation.alignmentPeriod=60s&aggregation.perSeriesAligner=ALIGN_DELTA"
        "&aggregation.crossSeriesReducer=REDUCE_SUM&aggregation.groupByFields=metric.labels.response_code_class"
    )
    return {
        "an upload of 100 MiB": upload,
        f"functions.list of {_ENTRIES}": lambda: ask("GET", f"/v2/{PARENT}/functions?pageSize=1000"),
        f"functions.list, a filter and an order over {_ENTRIES}": lambda: ask(
            "GET", f"/v2/{PARENT}/functions?filter=environment:GEN_2&orderBy=name%20desc&pageSize=1"
        ),
        "functions.list, a filter of spaces": lambda: ask(
            "GET", f"/v2/{PARENT}/functions?filter=a{'%20' * 20_000}b"
        ),
        f"revisions.list of {_ENTRIES}": lambda: ask("GET", f"/v2/{PARENT}/services/large/revisions?pageSize=1000"),
        f"operations.list of {_ENTRIES}": lambda: ask("GET", f"/v2/{PARENT}/operations?pageSize=1000"),
        "functions.create with 50,000 labels": lambda: ask("POST", f"/v2/{PARENT}/functions?functionId=f", labels),
        "services.patch with 30,000 variables": lambda: ask(
            "PATCH", f"/v2/{PARENT}/services/large?updateMask=template", template),
        "services.patch with 1,000 targets of traffic": lambda: ask(
            "PATCH", f"/v2/{PARENT}/services/large?updateMask=traffic", targets),
        "timeSeries.list of all times": lambda: ask("GET", always),
        "a call with a body of 40,000 lists": lambda: ask("POST", "/v2/unknown", logged),
        "the traffic log of 50,000 entries": lambda: ask("GET", "/_local/traffic-log"),
        "values.append of 900,000 cells": lambda: ask("POST", f"{cells}:append?valueInputOption=RAW", rows),
        "values.update of cells of 50,000 characters": lambda: ask(
            "PUT", f"{cells}?valueInputOption=USER_ENTERED", odd),
        "values.update of an object with 400,000 fields": lambda: ask("PUT", f"{cells}?valueInputOption=RAW", fields),
        "values.get of all of these cells": lambda: ask("GET", f"{_SHEET}/values/Rows"),
        "a batchUpdate of all of these cells that fails": lambda: ask("POST", f"{_SHEET}:batchUpdate", moved),
        "a function's request of 30 MiB": lambda: ask("POST", "/", archive[: 30 * _MIB], url),
        "a function's answer of 30 MiB": lambda: ask("GET", "/?mib=30", None, url),
        "the admin log after all of this": lambda: ask("GET", "/_local/admin-log"),
    }  # fmt: skip
