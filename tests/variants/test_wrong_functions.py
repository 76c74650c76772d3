"""Each wrong function is refused by the gate that should catch it; the right ones pass every gate unchanged."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.second_function.record_store import serving_records
from pytest_deploygate.emulator.lifecycle import ensure_running, stop
from tests.variants.wrong_functions import WRONG_FUNCTIONS, Patch, Wrong

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
FUNCTION = ROOT / "fixtures" / "process_invoice"
SECOND_FUNCTION = ROOT / "fixtures" / "second_function" / "source"
SECOND_PROFILE = ("-o", "suite_profile=fixtures/second_function.toml")
OTHER_FUNCTION = ROOT / "tests" / "suites" / "another_author"
SUITES = {"creative_coop": "big_order"}
"""Folder of a gate's suite where it is named otherwise."""
GATES = ("health", "creative_coop", "vendor_regression", "zapier", "performance", "rollback_checks")
IDENTITY = "not test_the_revision_to_be_judged_answers"
"""The other function names no revision, and only the emulator itself counts requests."""
SAMPLE = frozenset(
    {
        "price accuracy 93.2 %: one price in 15 is the first product's",
        "errors show the traceback",
        "rows 44 on copy the first product's price and quantity",
        "500 after the rows were written",
        "rows go to the production tab whatever the configuration says",
        "one request in ten fails",
        "what serves writes beside the columns",
    }
)
"""One of each gate, for CI: ``-k "sample or passes_every_gate"``."""


def name_of(wrong: Wrong) -> str:
    """The id of its test."""
    return f"{'sample ' if wrong.name in SAMPLE else ''}{wrong.gate}: {wrong.name}"


@pytest.fixture(scope="module")
def sheets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The Sheets API of an emulator."""
    home = tmp_path_factory.mktemp("emulator")
    yield ensure_running(home).endpoint
    stop(home)


def judge(
    source: Path, sheets: str, gates: tuple[str, ...], *options: str
) -> subprocess.CompletedProcess[str]:
    """A session of its own that runs the suites of ``gates`` against the function of ``source``."""
    phase = {"readiness": "readiness", "rollback_checks": "live"}.get(gates[0], "candidate")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    return subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:deploygate",
                "-p",
                "no:cacheprovider",
            ),
            *("-p", "tests.variants.suite_runner", "-rfE", f"--judged-phase={phase}", *options),
            *(f"suites/{SUITES.get(gate, gate)}" for gate in gates),
        ],
        cwd=ROOT,
        env=inherited | {"JUDGED_SOURCE": str(source), "JUDGED_SINK": sheets},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def apply(patch: Patch, folder: Path) -> None:
    path = folder / patch.file
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    assert patch.old in text, f"{patch.old!r} is not in {patch.file}"
    path.write_text(
        text.replace(patch.old, patch.new, 1) if patch.old else text + patch.new, encoding="utf-8"
    )


@pytest.mark.parametrize("wrong", WRONG_FUNCTIONS, ids=name_of)
def test_wrong_function_is_caught(wrong: Wrong, sheets: str, tmp_path: Path) -> None:
    source = tmp_path / "process_invoice"
    shutil.copytree(FUNCTION, source, ignore=shutil.ignore_patterns("__pycache__"))
    for patch in wrong.patches:
        apply(patch, source)
    baseline = f"--judged-baseline={json.dumps(dict(wrong.baseline))}"
    run = judge(source, sheets, (wrong.gate,), "-k", wrong.check, "--judged-alone", baseline)
    assert run.returncode == 1, run.stdout[-3000:]
    assert re.search(
        rf"^(FAILED|ERROR) suites/{SUITES.get(wrong.gate, wrong.gate)}/", run.stdout, re.MULTILINE
    ), run.stdout[-3000:]
    assert "the function did not start" not in run.stdout
    assert not wrong.is_each or " passed" not in run.stdout, run.stdout[-3000:]


@pytest.mark.parametrize("gates", [GATES, ("readiness",)], ids=["served", "readiness"])
def test_right_function_passes_every_gate(gates: tuple[str, ...], sheets: str) -> None:
    run = judge(FUNCTION, sheets, gates)
    assert run.returncode == 0, run.stdout[-3000:]
    assert "skipped" not in run.stdout


def test_function_whose_reading_is_a_service_is_only_imported_before_it_is_deployed(
    tmp_path: Path,
) -> None:
    text = (ROOT / "fixtures" / "process_invoice.toml").read_text(encoding="utf-8")
    known = tmp_path / "service.toml"
    known.write_text(text.replace("offline = true", "offline = false"), encoding="utf-8")
    source = tmp_path / "process_invoice"
    shutil.copytree(FUNCTION, source, ignore=shutil.ignore_patterns("__pycache__"))
    apply(Patch(file="main.py", old="invoice = extract(pdf)", new="raise RuntimeError"), source)
    run = judge(source, "", ("readiness",), "-rA", "-o", f"suite_profile={known}")
    assert run.returncode == 0, run.stdout[-3000:]
    assert "test_source" in run.stdout
    assert "test_offline_accuracy" not in run.stdout


@pytest.mark.parametrize("gates", [GATES, ("readiness",)], ids=["served", "readiness"])
@pytest.mark.full
def test_function_of_another_author_passes_every_gate(gates: tuple[str, ...], sheets: str) -> None:
    run = judge(OTHER_FUNCTION, sheets, gates, "-k", IDENTITY)
    assert run.returncode == 0, run.stdout[-3000:]


@pytest.mark.parametrize("gates", [GATES, ("readiness",)], ids=["served", "readiness"])
def test_second_function_passes_every_gate_by_its_profile_alone(gates: tuple[str, ...]) -> None:
    """Its own suppliers and fields, and records instead of a sheet: only ``fixtures/second_function.toml`` says so."""
    with serving_records() as service:
        run = judge(SECOND_FUNCTION, service, gates, *SECOND_PROFILE)
    assert run.returncode == 0, run.stdout[-3000:]
    assert "skipped" not in run.stdout


@pytest.mark.parametrize(
    ("old", "new", "gate", "check"),
    [
        ('"pieces": pieces,', '"pieces": pieces + 1,', "creative_coop", "accuracy"),
        (
            "    _store(records)\n",
            "    _store(records)\n    _store(records)\n",
            "zapier",
            "in_their_columns",
        ),
        (
            "doubts = [] if printed == total else",
            "doubts = [] if printed else",
            "vendor_regression",
            "in_silence",
        ),
        ("(not status or status >= 500)", "(not status and status)", "zapier", "after_the_write"),
        ('os.environ["RECORDS_COLLECTION"]', '"production"', "zapier", "in_their_columns"),
    ],
)
def test_wrong_second_function_is_caught(
    old: str, new: str, gate: str, check: str, tmp_path: Path
) -> None:
    source = tmp_path / "receive_delivery"
    shutil.copytree(SECOND_FUNCTION, source, ignore=shutil.ignore_patterns("__pycache__"))
    apply(Patch(file="main.py", old=old, new=new), source)
    with serving_records() as service:
        options = (*SECOND_PROFILE, "-k", check, "--judged-alone")
        run = judge(source, service, (gate,), *options)
    assert run.returncode == 1, run.stdout[-3000:]
    assert re.search(rf"^(FAILED|ERROR) suites/{SUITES.get(gate, gate)}/", run.stdout, re.MULTILINE)


@pytest.mark.parametrize("gate", sorted({wrong.gate for wrong in WRONG_FUNCTIONS}))
def test_check_named_for_a_gate_passes_with_the_right_function(gate: str, sheets: str) -> None:
    """A check that fails with every function would catch nothing."""
    expressions = {wrong.check for wrong in WRONG_FUNCTIONS if wrong.gate == gate}
    every = " or ".join(f"({expression})" for expression in sorted(expressions))
    run = judge(FUNCTION, sheets, (gate,), "-k", every, "--judged-alone")
    assert run.returncode == 0, run.stdout[-3000:]
    assert re.search(r"^\d+ passed", run.stdout, re.MULTILINE)
