"""The source packed as it would be uploaded, unpacked again, and run once on every document.

It runs in an environment of its own with what ``requirements.txt`` names and nothing else: that a package happens to be
installed beside the tests proves nothing. The environment is made once and kept where the local cloud keeps its own.
"""

import asyncio
import json
import os
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_deploygate.checks.accuracy import Record
from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.core.artifacts import Package
from pytest_deploygate.emulator.emulator_settings import load_settings
from pytest_deploygate.emulator.runtime.builder import Builder, BuildError, BuildRequest
from pytest_deploygate.targets.source_archive import make_package
from suites.invoices import DOCUMENTS, ROOT, vendors
from suites.support.rows import WIDTH, Cell, SheetRow, padded, parse_line

ENTRY_POINT, RUNTIME = "process_invoice", "python312"
_LONGEST_RUN_S = 120
_COLUMNS = "ABCDEFGH"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineResult:
    """What one document came to: status, and the rows that were appended, in their columns."""

    status: int
    is_warning: bool
    rows: tuple[SheetRow, ...]
    appends: int
    seconds: float

    @property
    def records(self) -> list[Record]:
        """The rows as they are compared."""
        return [parse_line(row).as_record() for row in self.rows]


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
    return make_package(source, home=home, entry_point=ENTRY_POINT, runtime=RUNTIME)


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
        archive=Path(package.path), runtime=RUNTIME, entry_point=ENTRY_POINT, variables={}
    )
    try:
        return asyncio.run(Builder(home, cache).build(wanted, home / "build.log")).python
    except BuildError as error:
        pytest.fail(f"the function cannot be built:\n{error}", pytrace=False)


@pytest.fixture(scope="session")
def offline(unpacked: Path, interpreter: Path) -> OfflineRun:
    """The function, imported in a clean interpreter and given all documents of all vendors."""
    names = [document for vendor in vendors() for document in vendor.documents]
    driver = Path(__file__).with_name("offline.py")
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(
        [
            str(interpreter),
            "-I",
            str(driver),
            str(unpacked),
            *(f"{DOCUMENTS / n}.pdf" for n in names),
        ],
        capture_output=True,
        text=True,
        env=kept,
        timeout=_LONGEST_RUN_S,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(f"the function cannot be run:\n{done.stderr[-2000:]}", pytrace=False)
    found = json.loads(done.stdout)
    return OfflineRun(
        imported_s=found["imported_s"],
        memory_peak_mb=found["memory_peak_mb"],
        results={
            name: OfflineResult(
                status=result["status"],
                is_warning="warning" in (result["answer"] or {}),
                rows=_rows(result["appends"]),
                appends=len(result["appends"]),
                seconds=result["seconds"],
            )
            for name, result in found["answers"].items()
        },
    )


def _rows(appends: list[dict[str, object]]) -> tuple[SheetRow, ...]:
    """Appended values in the columns in which they would land in an empty tab."""
    rows: list[SheetRow] = []
    for append in appends:
        first = str(append["range"]).rpartition("!")[2][:1]
        offset = _COLUMNS.index(first) if first in _COLUMNS else 0
        values = append["rows"]
        assert isinstance(values, list)
        for cells in values:
            placed: list[Cell] = [*[""] * offset, *cells]
            assert len(placed) <= WIDTH, f"a row of {len(cells)} cells in {append['range']}"
            rows.append(SheetRow(number=len(rows) + 1, cells=padded(placed)))
    return tuple(rows)
