"""A project in a directory of its own, deployed by real pytest sessions to a real local cloud."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

import requests

from pytest_deploygate.emulator.lifecycle import find, stop
from pytest_deploygate.testing.sessions import ForkedSession

REPOSITORY = Path(__file__).resolve().parents[2]
COPIED = ("pyproject.toml", "conftest.py", "suites", "fixtures", "test_invoices")
SESSION_LIMIT_S = 300
PAUSE_S = 0.01
"""Between two requests of a visitor, who is not to take the processor from those who are watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A session that has ended: exit status, what it printed, and its JUnit file (empty if there is none)."""

    status: int
    output: str
    properties: Mapping[str, str]
    cases: tuple[ET.Element, ...] = ()

    def property(self, name: str) -> str:
        """One ``deploygate.*`` property of the suite."""
        return self.properties[f"deploygate.{name}"]


@dataclass(slots=True, kw_only=True)
class Project:
    """A checkout of a user, with its own local cloud."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    service_path: str = "freckled-hen-analytics/locations/us-central1/services/process-invoice"

    @property
    def function(self) -> Path:
        """The source of the function."""
        return self.root / "fixtures" / "process_invoice"

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace ``old`` once in a file of the project; it must be there."""
        file = self.root / path
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {path}"
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    def touch_source(self, text: str) -> None:
        """Make another release of the function that does the same."""
        with (self.function / "main.py").open("a", encoding="utf-8") as file:
            file.write(f"\n# {text}\n")

    @property
    def _report(self) -> Path:
        return self.root / "report.xml"

    def _options(self) -> list[str]:
        self._report.unlink(missing_ok=True)
        return ["--color=no", f"--junitxml={self._report}"]

    def start(self, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
        """Begin a session."""
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *self._options(), *arguments],
            cwd=self.root,
            env={**os.environ, **self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, process: "subprocess.Popen[str]") -> Run:
        """Wait for a session to end."""
        output, _ = process.communicate(timeout=SESSION_LIMIT_S)
        return self._left_by(process.returncode, output)

    def _left_by(self, status: int, output: str) -> Run:
        properties, cases = read_report(self._report)
        return Run(status=status, output=output, properties=properties, cases=cases)

    def pytest(self, *arguments: str, **variables: str) -> Run:
        """Run a session to its end, in a forked process."""
        with TemporaryDirectory() as folder:
            session = ForkedSession(
                "pytest",
                self.root,
                [*self._options(), *arguments],
                {**os.environ, **self.environment, **variables},
                Path(folder, "output"),
            )
            return self._left_by(session.end(), session.output)

    def deploy(self, *arguments: str, **variables: str) -> Run:
        """``pytest --deploy-to=local``."""
        return self.pytest("--deploy-to=local", *arguments, **variables)

    # -- what anybody sees from outside ----------------------------------------------------------

    @property
    def endpoint(self) -> str:
        """The admin endpoint of the project's local cloud."""
        cloud = find(self.root / ".deploygate" / "local")
        assert cloud is not None, "the local cloud does not run"
        return cloud.endpoint

    def local(self, path: str, /, **body: object) -> object:
        """Ask or tell the local cloud something over its side endpoint."""
        url = f"{self.endpoint}/_local/{path}"
        answer = (
            _direct().post(url, json=body, timeout=30) if body else _direct().get(url, timeout=30)
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def service(self) -> dict[str, object]:
        """The Cloud Run service as the platform describes it."""
        url = f"{self.endpoint}/v2/projects/{self.service_path}"
        found: dict[str, object] = _direct().get(url, timeout=30).json()
        return found

    @property
    def url(self) -> str:
        """The public URL."""
        return str(self.service()["uri"])

    def answering(self) -> str:
        """Which revision answers the public URL now."""
        return revision_of(_direct().get(self.url, timeout=30))

    def shares(self) -> dict[str, int]:
        """Percent by revision, as the platform shows it."""
        service = self.service()
        latest = str(service["latestReadyRevision"]).rsplit("/", 1)[-1]
        statuses = service["trafficStatuses"]
        assert isinstance(statuses, list)
        return {s.get("revision", latest): s["percent"] for s in statuses if s.get("percent")}

    def rows(self, tab: str) -> list[list[object]]:
        """All rows of a tab of the function's sheet."""
        from urllib.parse import quote

        sheet = "1PdnZGPZwAV6AHXEeByhOlaEeGObxYWppwLcq0gdvs0E"
        url = f"{self.endpoint}/v4/spreadsheets/{sheet}/values/{quote(f'{tab}!A:H')}"
        answer = _direct().get(url, timeout=30)
        values: list[list[object]] = answer.json().get("values", [])
        return values

    @contextmanager
    def watched(self, *, expect: int = 405) -> Iterator["Watch"]:
        """Ask the public URL again and again while the block runs; each answer should have the status ``expect``."""
        watch = Watch(self.url, expect)
        watch.start()
        try:
            yield watch
        finally:
            watch.stop()

    def close(self) -> None:
        """Stop the local cloud and everything it runs."""
        stop(self.root / ".deploygate" / "local")


class Watch:
    """A visitor of the public URL: notes which revisions answered, when each did last, and every failure."""

    def __init__(self, url: str, expect: int) -> None:
        self._expect = expect
        self.revisions: list[str] = []
        self.last_at: dict[str, float] = {}
        self.failures: list[str] = []
        self.count = 0
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()
        self._thread.join(timeout=60)

    def _run(self) -> None:
        with _direct() as session:
            while not self._stop.is_set():
                self._ask(session)
                self._stop.wait(PAUSE_S)

    def _ask(self, session: requests.Session) -> None:
        self.count += 1
        try:
            answer = session.get(self._url, timeout=30)
        except requests.RequestException as error:
            self.failures.append(repr(error))
            return
        if answer.status_code != self._expect:
            self.failures.append(f"{answer.status_code}: {answer.text[:100]}")
            return
        revision = revision_of(answer)
        self.last_at[revision] = time.time()
        if not self.revisions or self.revisions[-1] != revision:
            self.revisions.append(revision)


def revision_of(answer: requests.Response) -> str:
    """The revision that the sample function says it is."""
    return answer.headers.get("X-Revision", "")


def _direct() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


def read_report(path: Path) -> tuple[dict[str, str], tuple[ET.Element, ...]]:
    """Properties of the suite and test cases of a JUnit file; nothing if there is none."""
    if not path.exists():
        return {}, ()
    tree = ET.parse(path)
    properties = {
        p.attrib["name"]: p.attrib["value"]
        for p in tree.iterfind("./testsuite/properties/property")
    }
    return properties, tuple(tree.iter("testcase"))


def copy_repository(root: Path) -> None:
    """What a user has after cloning, without tests and records."""
    root.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy2(source, root / name)


def until(holds: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Wait until ``holds()``; fails with ``what`` when the time is up."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"still not: {what}"
        time.sleep(0.02)


def signal_when(
    process: "subprocess.Popen[str]",
    project: Project,
    holds: Callable[[], bool],
    number: signal.Signals,
) -> None:
    """Send a signal to a session as soon as something is seen from outside."""
    until(holds, seconds=120, what="the moment for the signal")
    process.send_signal(number)


def journal(project: Project) -> list[dict[str, object]]:
    """All journal entries in the record of the project, oldest first, read with the standard library alone."""
    import sqlite3

    path = project.root / ".deploygate" / "state.db"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        rows = connection.execute("select body from deploygate_journal order by rowid").fetchall()
    return [json.loads(body) for (body,) in rows]
