"""Parts of the emulator that need no process: balancing, interpreters, sheets' ranges, state, memory."""

import os
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from google.cloud import run_v2
from hypothesis import given
from hypothesis import strategies as st

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.units import Memory
from pytest_deploygate.emulator.routing.balancer import Balancer
from pytest_deploygate.emulator.runtime.process_memory import MemoryMeter
from pytest_deploygate.emulator.runtime.revisions import memory_limit, service_id
from pytest_deploygate.emulator.services.sheets.a1_notation import (
    Area,
    column_name,
    format_range,
    parse_area,
    split_range,
)
from pytest_deploygate.emulator.storage.state import EmulatorState
from pytest_deploygate.system.interpreters import find_interpreter


@given(st.lists(st.integers(1, 100), min_size=1, max_size=5))
def test_each_round_has_exact_shares_and_none_waits_long(weights: list[int]) -> None:
    balancer = Balancer((str(i), weight) for i, weight in enumerate(weights))
    turns = [balancer.next() for _ in range(sum(weights))]
    assert Counter(turns) == {str(i): weight for i, weight in enumerate(weights)}


def test_ten_percent_are_spread_evenly() -> None:
    balancer = Balancer([("old", 90), ("new", 10)])
    turns = [balancer.next() for _ in range(100)]
    assert all(turns[i : i + 10].count("new") == 1 for i in range(0, 100, 10))
    assert Balancer([]).next() is None


def test_memory_limit_is_the_platforms_default_where_nobody_says() -> None:
    assert memory_limit("") == Memory.parse("256M")
    assert memory_limit("1Gi") == Memory.parse("1024Mi")


def test_service_is_named_with_hyphens() -> None:
    assert service_id("process_invoice") == "process-invoice"


def test_unknown_runtime_is_built_with_the_own_interpreter_and_says_so() -> None:
    found = find_interpreter("python27")
    assert (found.path, found.is_exact) == (sys.executable, False)
    assert "no interpreter for python27" in found.describe("python27")


@pytest.mark.parametrize(
    ("text", "area"),
    [
        ("", Area()),
        ("B2", Area(top=1, left=1, bottom=1, right=1)),
        ("B:G", Area(left=1, right=6)),
        ("2:9", Area(top=1, bottom=8)),
        ("A2:F", Area(top=1, left=0, right=5)),
        ("G9:B2", Area(top=1, left=1, bottom=8, right=6)),
        ("aa10", Area(top=9, left=26, bottom=9, right=26)),
        ("1x", None),
        ("B", None),
        ("A0", None),
        ("A1:", None),
    ],
)
def test_range_is_read(text: str, area: Area | None) -> None:
    assert parse_area(text) == area


@given(st.integers(0, 18_277), st.integers(0, 10_000))
def test_cell_name_is_read_back(column: int, row: int) -> None:
    area = Area(top=row, left=column, bottom=row, right=column)
    assert parse_area(f"{column_name(column)}{row + 1}") == area


@given(st.text(min_size=1, max_size=10).filter(lambda title: "\n" not in title))
def test_title_of_a_tab_survives_quoting(title: str) -> None:
    assert split_range(format_range(title, 0, 1, 1, 2)) == (title, "B1:C2")


def test_state_is_written_through_and_keeps_the_former_version(tmp_path: Path) -> None:
    state = EmulatorState(tmp_path)
    service = run_v2.Service.pb()(name="s", generation=1)
    state.services.put("s", service)
    service.generation = 2
    assert state.services["s"].generation == 1, "what was read is a copy"
    state.services.put("s", service)
    previous = state.services.previous("s")
    assert previous is not None
    assert previous.generation == 1
    state.close()
    again = EmulatorState(tmp_path)
    assert again.services["s"].generation == 2
    again.close()


def test_state_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    EmulatorState(tmp_path).close()
    database = sqlite3.connect(tmp_path / "state.sqlite3")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ConfigError, match="newer version"):
        EmulatorState(tmp_path)


_TREE = """
import subprocess, sys
kept = b"x" * 50_000_000
child = "kept = b'x' * 50_000_000; print(1, flush=True); input()"
subprocess.run([sys.executable, "-c", child])
"""


def test_memory_counts_children() -> None:
    command = [sys.executable, "-c", _TREE]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = MemoryMeter(process.pid, lambda: 0).read()
    assert found.mb > 100


def test_process_control_loads_no_server() -> None:
    heavy = "{'aiohttp', 'google.cloud.functions_v2', 'psutil', 'sqlite3'}"
    code = f"import sys, pytest_deploygate.emulator.lifecycle; print({heavy} & set(sys.modules))"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=kept, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
