"""The process: found only if it is ours and alive, started once, stopped whole, and a restart loses nothing."""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import requests

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.emulator import lifecycle
from pytest_deploygate.emulator.lifecycle import RunningEmulator, ensure_running, find, logs, stop
from tests.emulator.emulator_driver import Driver, make_pair, short_name, to, until, who
from tests.processes import is_running

Start = Callable[[], Driver]


def _function_pids(driver: Driver) -> list[int]:
    services = driver.local("GET", "services")["services"]
    assert isinstance(services, list)
    return [found["pid"] for service in services for found in service["processes"]]


def test_running_one_is_used_again_and_stop_ends_it(own_home: Path) -> None:
    assert find(own_home) is None
    first = ensure_running(own_home)
    assert ensure_running(own_home) == first == find(own_home)
    assert psutil.Process(first.pid).ppid() != os.getpid()
    assert stop(own_home) is True
    assert not is_running(first.pid)
    assert find(own_home) is None
    assert stop(own_home) is False


def test_concurrent_callers_start_exactly_one(own_home: Path) -> None:
    found: list[RunningEmulator] = []
    threads = [
        threading.Thread(target=lambda: found.append(ensure_running(own_home))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({cloud.pid for cloud in found}) == 1
    assert logs(own_home).count('"cloud.ready"') == 1


HOLDER = """
import os, signal, sys
from pathlib import Path
from pytest_deploygate.emulator.lifecycle import _hold_lock
with _hold_lock(Path(sys.argv[1]), 30):
    print("held", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
"""


def test_stopped_process_that_holds_the_lock_is_named_and_not_waited_for(own_home: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(own_home)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        until(lambda: psutil.Process(holder.pid).status(), lambda s: s == psutil.STATUS_STOPPED)
        said = rf"process {holder.pid}, which is stopped, starts or stops the emulator under"
        with pytest.raises(ConfigError, match=said) as raised:
            ensure_running(own_home, lock_timeout_s=0)
        assert f"ps -f -p {holder.pid}" in raised.value.hint
        with pytest.raises(ConfigError, match=said):
            stop(own_home, lock_timeout_s=0)
    finally:
        holder.kill()
        holder.communicate()
    assert stop(own_home, lock_timeout_s=0) is False, "the lock dies with its holder"


def test_holder_of_the_lock_that_left_no_name_is_to_be_looked_for(own_home: Path) -> None:
    own_home.mkdir(exist_ok=True)
    path = own_home / "emulator.lock"
    with path.open("w") as lock:  # as an earlier version holds it
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another process starts or stops") as raised:
            ensure_running(own_home, lock_timeout_s=0)
    assert f"fuser {path}" in raised.value.hint


def test_it_binds_loopback_only(driver: Driver) -> None:
    connections = psutil.Process(driver.cloud.pid).net_connections()
    listening = [c for c in connections if c.status == psutil.CONN_LISTEN]
    assert {connection.laddr[0] for connection in listening} == {"127.0.0.1"}


def test_port_that_is_taken_is_named_with_its_holder(own_home: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} is taken by .*process {os.getpid()}"):
            ensure_running(own_home, port=port)


def test_other_version_is_refused(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "__version__", "99.0")
    with pytest.raises(ConfigError, match="an emulator of version") as raised:
        ensure_running(driver.cloud.home)
    assert "deploygate emulator down" in raised.value.hint


START = """
import sys
from pathlib import Path
from pytest_deploygate.emulator.lifecycle import ensure_running
print(ensure_running(Path(sys.argv[1])).pid)
"""


@pytest.mark.parametrize("changed", ["emulator/balance.py", "cli/plan.py"])
def test_one_of_older_code_of_the_same_version_is_refused(
    own_home: Path, tmp_path: Path, changed: str
) -> None:
    older = tmp_path / "older" / "pytest_deploygate"
    shutil.copytree(Path(lifecycle.__file__).parents[1], older)
    with (older / changed).open("a", encoding="utf-8") as file:
        file.write("\n# as it was before\n")
    command = [sys.executable, "-c", START, str(own_home)]
    environment = {**os.environ, "PYTHONPATH": str(older.parent)}
    started = subprocess.run(
        command, cwd=older.parent, env=environment, capture_output=True, text=True, check=True
    )
    if changed.startswith("cli/"):
        assert ensure_running(own_home).pid == int(started.stdout), "it runs the same code"
        return
    said = rf"the emulator under .*process {int(started.stdout)}\) is from a different build"
    with pytest.raises(ConfigError, match=said) as raised:
        ensure_running(own_home)
    assert "deploygate emulator down" in raised.value.hint
    assert stop(own_home) is True
    ensure_running(own_home)


def test_running_one_at_another_port_is_refused(driver: Driver) -> None:
    port = int(driver.cloud.endpoint.rpartition(":")[2]) + 1
    with pytest.raises(ConfigError, match=f"not at port {port}"):
        ensure_running(driver.cloud.home, port=port)


def test_start_that_takes_too_long_is_told(own_home: Path) -> None:
    with pytest.raises(ConfigError, match=r"did not start within 0\.01 s") as caught:
        ensure_running(own_home, timeout_s=0.01)
    assert "Try again" in caught.value.hint
    assert find(own_home) is None


def test_missing_extra_is_named(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        lifecycle, "find_spec", lambda name: None if name == "aiohttp" else object()
    )
    with pytest.raises(ConfigError, match="needs aiohttp") as raised:
        ensure_running(own_home)
    assert raised.value.hint == "pip install pytest-deploygate[local]"


def test_bad_settings_and_damaged_state_are_told(own_home: Path) -> None:
    (own_home / "settings.toml").write_text("idle_seconds = 1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="unknown key 'idle_seconds'"):
        ensure_running(own_home)
    (own_home / "settings.toml").write_text("idle_s = 'long'\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="idle_s must be float"):
        ensure_running(own_home)
    (own_home / "settings.toml").unlink()
    (own_home / "state.sqlite3").write_bytes(b"not a database" * 100)
    with pytest.raises(ConfigError, match="cannot be read"):
        ensure_running(own_home)


def test_left_over_file_of_a_dead_or_foreign_one_is_not_enough(
    own_home: Path, driver: Driver
) -> None:
    run = {
        "pid": driver.cloud.pid,
        "port": int(driver.cloud.endpoint.rpartition(":")[2]),
        "version": "1",
    }
    (own_home / lifecycle.RUN_FILE).write_text(json.dumps(run), encoding="utf-8")
    assert find(own_home) is None
    (own_home / lifecycle.RUN_FILE).write_text('{"pid": 1, "po', encoding="utf-8")
    assert find(own_home) is None


def test_one_that_does_not_answer_is_not_doubled(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = driver.cloud.pid
    monkeypatch.setattr(lifecycle, "find", lambda _: None)
    with pytest.raises(ConfigError, match=f"process {pid} serves .* does not answer"):
        ensure_running(driver.cloud.home)


def test_it_ends_when_its_home_is_removed(running: Start, own_home: Path) -> None:
    driver = running()
    driver.deploy("hello", who())
    pids = [driver.cloud.pid, *_function_pids(driver)]
    shutil.rmtree(own_home, ignore_errors=True)  # what is written meanwhile may stay
    until(lambda: [pid for pid in pids if is_running(pid)], lambda left: not left)


def test_proxy_of_the_environment_is_not_used(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert find(driver.cloud.home) == driver.cloud


def test_stop_ends_all_function_processes(running: Start, own_home: Path) -> None:
    driver = running()
    service = driver.deploy("hello", who())
    pids = _function_pids(driver)
    assert pids
    stop(own_home)
    until(lambda: [pid for pid in pids if is_running(pid)], lambda left: not left)
    with pytest.raises(requests.ConnectionError):
        driver.get(service.uri)


def test_kill_and_restart_keep_everything(running: Start) -> None:
    driver = running()
    service, first, second = make_pair(driver, "hello")
    tagged = driver.traffic(service.name, to(first, 75), to(second, 25), to(second, tag="dg-cand"))
    driver.http.put(
        f"{driver.cloud.endpoint}/v4/spreadsheets/s/values/T!B2?valueInputOption=USER_ENTERED",
        json={"values": [["$1.60"]]}, timeout=20,
    )  # fmt: skip
    function = driver.functions.get_function(
        name="projects/p1/locations/us-central1/functions/hello", timeout=20
    )
    log = driver.local("GET", "traffic-log")
    pids = _function_pids(driver)
    os.kill(driver.cloud.pid, signal.SIGKILL)
    until(lambda: [pid for pid in pids if is_running(pid)], lambda left: not left)

    again = running()
    assert again.cloud.endpoint == driver.cloud.endpoint
    assert again.service(service.name) == tagged
    assert again.functions.get_function(name=function.name, timeout=20) == function
    answers = [again.answering(service.uri) for _ in range(100)]
    assert (answers.count(first), answers.count(second)) == (75, 25)
    assert again.answering(tagged.traffic_statuses[2].uri) == second
    url = (
        f"{again.cloud.endpoint}/v4/spreadsheets/s/values/T!B2?valueRenderOption=UNFORMATTED_VALUE"
    )
    assert again.get(url).json()["values"] == [[1.6]]
    assert again.local("GET", "traffic-log") == log
    third = again.update(
        again.function("hello", COLOR="blue"), "service_config.environment_variables"
    )
    assert third.service_config.revision > second


def test_operation_in_flight_at_a_kill_ends_in_an_error(running: Start) -> None:
    driver = running()
    service = driver.deploy("hello", who())
    driver.fault(method="PATCH", path="functions/hello$", operation={"kind": "never_done"})
    wanted = driver.function("hello", COLOR="blue")
    url = f"{driver.cloud.endpoint}/v2/{wanted.name}?updateMask=serviceConfig.environmentVariables"
    name = driver.http.patch(url, json={"serviceConfig": {}}, timeout=20).json()["name"]
    os.kill(driver.cloud.pid, signal.SIGKILL)

    again = running()
    operation = again.functions.get_operation({"name": name}, timeout=20)
    assert operation.done
    assert "was stopped while" in operation.error.message
    again.update(wanted, "service_config.environment_variables")
    assert again.get(service.uri).json()["color"] == "blue"


@pytest.mark.full
def test_kill_during_a_build_leaves_what_served(running: Start) -> None:
    driver = running()
    service = driver.deploy("hello", who())
    first = short_name(service.latest_ready_revision)
    source = who(2) + "\nimport time; time.sleep(3)\n"
    wanted = driver.function("hello", source)
    archive = wanted.build_config.source.storage_source
    body = {"buildConfig": {"runtime": "python311", "entryPoint": "hello", "source": {"storageSource": {
        "bucket": archive.bucket, "object": archive.object_}}}}  # fmt: skip
    url = f"{driver.cloud.endpoint}/v2/{wanted.name}?updateMask=buildConfig"
    driver.http.patch(url, json=body, timeout=20)
    until(lambda: driver.service(service.name).reconciling, bool)
    os.kill(driver.cloud.pid, signal.SIGKILL)

    again = running()
    after = again.service(service.name)
    assert (short_name(after.latest_ready_revision), after.reconciling) == (first, False)
    assert again.answering(service.uri) == first


def test_logs_of_the_cloud_and_of_a_revision(running: Start, own_home: Path) -> None:
    driver = running()
    service = driver.deploy(
        "hello", "def hello(request):\n    print('said so', flush=True)\n    return 'x'"
    )
    driver.get(service.uri)
    revision = short_name(service.latest_ready_revision)
    assert "said so" in logs(own_home, revision)
    assert "cloud.ready" in logs(own_home)
    assert len(logs(own_home, tail=1).splitlines()) == 1
    with pytest.raises(ConfigError, match="no log of a revision 'nobody'") as raised:
        logs(own_home, "nobody")
    assert revision in raised.value.hint


def test_web_page_cannot_call_it(driver: Driver) -> None:
    url = f"{driver.cloud.endpoint}/_local/faults"
    answer = driver.http.post(url, data="[]", headers={"Origin": "https://example.org"}, timeout=20)
    assert answer.status_code == 403
