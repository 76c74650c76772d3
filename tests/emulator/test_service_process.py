"""The process that keeps the sheets: what it computes holds nobody up, and what was written outlives it."""

import http.client
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import requests

from pytest_deploygate.emulator.lifecycle import stop
from tests.emulator.emulator_driver import Driver, until


@pytest.fixture
def sheets(running: Callable[[], Driver]) -> Driver:
    """An emulator with one row of a sheet."""
    driver = running()
    assert _append(driver, [["first"]]).ok
    return driver


def test_cells_are_worked_on_outside_of_the_emulator(sheets: Driver) -> None:
    emulator, own = psutil.Process(sheets.cloud.pid), _process_of(sheets)
    before = [_spent_s(process) for process in (emulator, own)]
    assert _append(sheets, [["cell"] * 20] * 15_000).ok
    assert len(sheets.http.get(_url(sheets), timeout=60).json()["values"]) == 15_001
    by_emulator, by_own = (
        _spent_s(process) - earlier
        for process, earlier in zip((emulator, own), before, strict=True)
    )
    assert by_emulator < by_own / 3


def test_next_call_works_when_the_process_has_died(sheets: Driver) -> None:
    _process_of(sheets).kill()
    answers = [_append(sheets, [["second"]]).status_code for _ in range(2)]
    assert answers[1] == 200
    rows = [row for [row] in sheets.http.get(_url(sheets), timeout=60).json()["values"]]
    assert rows == ["first", *["second"] * answers.count(200)]


def test_call_that_dies_with_the_process_is_an_error_of_the_emulator(sheets: Driver) -> None:
    own = _process_of(sheets)
    own.suspend()
    connection = http.client.HTTPConnection(sheets.cloud.endpoint.removeprefix("http://"))
    connection.request("GET", "/v4/spreadsheets/one/values/Rows")
    until(sheets.calls, lambda calls: calls[-1]["http"] is None)
    assert sheets.local("GET", "health")["pid"]  # by now the call was passed on
    own.kill()
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["error"]["status"]) == (500, "INTERNAL")
    connection.close()
    assert sheets.http.get(_url(sheets), timeout=60).json()["values"] == [["first"]]


def test_file_that_is_no_database_is_said_in_the_log(
    own_home: Path, running: Callable[[], Driver]
) -> None:
    (own_home / "sheets.sqlite3").write_bytes(b"no database at all" * 100)
    driver = running()
    answer = driver.http.get(_url(driver), timeout=60)
    assert (answer.status_code, answer.json()["error"]["status"]) == (500, "INTERNAL")
    log = (own_home / "emulator.log").read_text(encoding="utf-8")
    assert "sheets.sqlite3 cannot be read: file is not a database" in log
    assert driver.local("GET", "health")["pid"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_process_ends_with_the_emulator(sheets: Driver, number: signal.Signals) -> None:
    own = _process_of(sheets)
    os.kill(sheets.cloud.pid, number)
    until(own.is_running, lambda runs: not runs)


def test_process_in_the_middle_of_a_call_does_not_keep_the_emulator_from_stopping(
    sheets: Driver, own_home: Path
) -> None:
    own = _process_of(sheets)
    own.suspend()
    with pytest.raises(requests.Timeout):
        sheets.http.get(_url(sheets), timeout=0.2)
    assert stop(own_home)
    until(own.is_running, lambda runs: not runs)


def _url(driver: Driver) -> str:
    return f"{driver.cloud.endpoint}/v4/spreadsheets/one/values/Rows"


def _append(driver: Driver, rows: list[list[str]]) -> requests.Response:
    url = f"{_url(driver)}!A1:append?valueInputOption=RAW"
    return driver.http.post(url, json={"values": rows}, timeout=60)


def _process_of(driver: Driver) -> psutil.Process:
    [own] = psutil.Process(driver.cloud.pid).children()
    return own


def _spent_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
