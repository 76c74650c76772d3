"""The source packed as it would be uploaded, unpacked again, and run once on every document.

Where reading is a service (``offline = false`` in the suite profile) the function is only imported: its accuracy is
known when there is a revision, and is the candidate gate's.

It runs in an environment of its own with what ``requirements.txt`` names and nothing else: that a package happens to be
installed beside the tests proves nothing. The environment is made once and kept where the emulator keeps its own.
"""

import asyncio
import json
import os
import subprocess
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_deploygate.checks.accuracy import Record
from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.core.artifacts import Package
from pytest_deploygate.emulator.emulator_settings import load_settings
from pytest_deploygate.emulator.runtime.builder import Builder, BuildError, BuildRequest
from pytest_deploygate.targets.source_archive import make_package
from suites.invoices import document_path, golden, vendors
from suites.posting import SENDERS, batches, sort_rows
from suites.support.profile import ROOT, SinkKind, profile
from suites.support.rows import Cell, SheetRow, padded, parse_line

_LONGEST_RUN_S = 240
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DUMMY_SECRET = "a-dummy-for-a-secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineResult:
    """What one document came to: status, and the rows that were appended, in their columns."""

    status: int
    is_warning: bool
    has_warnings: bool
    """Whether the answer says that some of the rows may be missing or wrong."""
    rows: tuple[SheetRow, ...]
    appends: int
    seconds: float

    @property
    def records(self) -> list[Record]:
        """The rows as they are compared."""
        layout = profile().sink.layout
        return [parse_line(row, layout).as_record() for row in self.rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineRun:
    """One interpreter that imported the function and was given every document."""

    imported_s: float
    memory_peak_mb: float
    results: Mapping[str, OfflineResult]


@pytest.fixture(scope="session")
def source(deployment: Deployment) -> Path:
    """Folder of the function's source."""
    assert deployment.source, "the deployment does not say where the source is"
    return ROOT / deployment.source


@pytest.fixture(scope="session")
def package(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The archive that would be uploaded. Secrets, links out of the tree and a missing entry point end it."""
    home = tmp_path_factory.mktemp("package")
    known = profile()
    return make_package(source, home=home, entry_point=known.entry_point, runtime=known.runtime)


@pytest.fixture(scope="session")
def unpacked(package: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the platform would have after unpacking."""
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(package.path) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def interpreter(package: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python with what the function requires; what cannot be installed here could not be built there."""
    cloud = ROOT / ".deploygate" / "local"
    cache = Path(load_settings(cloud).build_cache or cloud / "environments")
    home = tmp_path_factory.mktemp("build")
    wanted = BuildRequest(
        archive=Path(package.path),
        runtime=profile().runtime,
        entry_point=profile().entry_point,
        variables={},
    )
    try:
        return asyncio.run(Builder(home, cache).build(wanted, home / "build.log")).python
    except BuildError as error:
        pytest.fail(f"the function cannot be built:\n{error}", pytrace=False)


@pytest.fixture(scope="session")
def offline(unpacked: Path, interpreter: Path, deployment: Deployment) -> OfflineRun:
    """The function, imported in a clean interpreter as it is configured, and given all documents of all vendors."""
    known = profile()
    names = [name for vendor in vendors() for name in vendor.documents if known.is_offline]
    together = batches([golden(name) for name in names])
    secrets = dict.fromkeys(deployment.secret_names, _DUMMY_SECRET)
    configuration = {
        "folder": str(unpacked),
        "entry-point": known.entry_point,
        "variables": {**deployment.verify_variables, **secrets},
        "endpoint-variable": known.sink.endpoint_variable,
        "file-field": known.file_field,
        "media-type": known.media_type,
        "senders": SENDERS,
        "batches": [[str(document_path(name)) for name in batch] for batch in together],
    }
    driver = Path(__file__).with_name("offline.py")
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(
        [str(interpreter), "-I", str(driver), json.dumps(configuration)],
        capture_output=True,
        text=True,
        env=kept,
        timeout=_LONGEST_RUN_S,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(f"the function cannot be run:\n{done.stderr[-2000:]}", pytrace=False)
    found = json.loads(done.stdout)
    results: dict[str, OfflineResult] = {}
    for batch in found["batches"]:
        results |= _results(batch["answers"], batch["writes"])
    return OfflineRun(
        imported_s=found["imported_s"], memory_peak_mb=found["memory_peak_mb"], results=results
    )


def _results(
    answers: Sequence[Mapping[str, Any]], writes: Sequence[Mapping[str, Any]]
) -> Mapping[str, OfflineResult]:
    """What each document of a batch came to: a write is of the document that most of its rows name."""
    documents = [golden(answer["document"]) for answer in answers]
    written: dict[str, list[tuple[SheetRow, ...]]] = {truth.name: [] for truth in documents}
    for write in writes:
        rows = _rows(write)
        owners = Counter(sort_rows(rows, documents)) or Counter([documents[0].name])
        written[owners.most_common(1)[0][0]].append(rows)
    names = profile().answer
    return {
        answer["document"]: OfflineResult(
            status=answer["status"],
            is_warning=names.warning in (answer["answer"] or {}),
            has_warnings=bool((answer["answer"] or {}).get(names.warnings)),
            rows=tuple(row for rows in written[answer["document"]] for row in rows),
            appends=len(written[answer["document"]]),
            seconds=answer["seconds"],
        )
        for answer in answers
    }


def _rows(write: Mapping[str, Any]) -> tuple[SheetRow, ...]:
    """Written values in the columns in which they would land in an empty sink."""
    sink = profile().sink
    if sink.kind is SinkKind.RECORDS:
        fields = [sink.fields.get(column, column) for column in sink.layout.columns]
        values = [[record.get(name, "") for name in fields] for record in write["records"]]
        offset = sink.layout.before
    else:
        values = write["rows"]
        first = str(write["range"]).rpartition("!")[2][:1]
        offset = _LETTERS.index(first) if first in _LETTERS else 0
    rows = []
    for number, cells in enumerate(values, start=1):
        placed: list[Cell] = [*[""] * offset, *map(_entered, cells)]
        assert len(placed) <= sink.layout.width, f"a row of {len(cells)} cells"
        row = padded(placed, sink.layout.width)
        rows.append(SheetRow(number=number, cells=row, before=sink.layout.before))
    return tuple(rows)


def _entered(cell: Cell) -> Cell:
    """What a sheet keeps of a value: an apostrophe before it only says that it is text."""
    return cell.removeprefix("'") if isinstance(cell, str) else cell
