"""Clients that nobody here wrote, each call as its documentation has it (docs/reference/emulator-clients.md)."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulator.emulator_driver import PARENT, Driver, make_pair, who
from tests.emulator.foreign_calls.client_page import (
    CALLS,
    NPM,
    PAGE,
    PYTHON_CALLS,
    ForeignCall,
    page,
)
from tests.emulator.foreign_calls.stage import Stage

_LEAST_RIGHT = 150


@pytest.fixture(scope="module")
def stage(shared_driver: Driver) -> Iterator[Stage]:
    """A function that these tests change as they like."""
    made = Stage(driver=shared_driver, pair=make_pair(shared_driver, "foreign"))
    yield made
    made.close()


@pytest.mark.parametrize(
    "foreign", PYTHON_CALLS, ids=[f"{call.client}-{call.call}" for call in PYTHON_CALLS]
)
def test_call_ends_as_the_table_says(stage: Stage, foreign: ForeignCall) -> None:
    assert foreign.act is not None
    if foreign.differs:
        with pytest.raises(Exception, match=r"emulator (does not have|makes no)|by the emulator"):
            foreign.act(stage)
    else:
        assert foreign.act(stage)


def test_page_is_what_the_calls_are() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "write it again: python -m tests.emulator.foreign_calls.client_page"
    )
    assert sum(not call.differs for call in CALLS) >= _LEAST_RIGHT


@pytest.mark.skipif(
    "DEPLOYGATE_NPM_CLIENTS" not in os.environ, reason="npm clients are for tox -e npm"
)
def test_npm_clients_end_as_the_table_says(shared_driver: Driver) -> None:
    node = shutil.which("node")
    assert node is not None, "node is not installed"
    shared_driver.deploy("kept", who())
    modules = Path(os.environ["DEPLOYGATE_NPM_CLIENTS"], "node_modules")
    run = subprocess.run(
        [node, str(NPM / "calls.cjs"), shared_driver.cloud.endpoint, PARENT],
        env=os.environ | {"NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    wrong = {
        f"{line['client']}: {line['call']}": line["error"]
        for line in lines
        for call in CALLS
        if (call.client, call.call) == (line["client"], line["call"])
        and bool(call.differs) != bool(line["error"])
    }
    assert wrong == {}, run.stderr
    assert [(line["client"], line["call"]) for line in lines] == [
        (call.client, call.call) for call in CALLS if call.act is None
    ]
