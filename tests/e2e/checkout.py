"""A project in a directory of its own, deployed by real pytest sessions to a real emulator."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import requests

from pytest_deploygate.testing import LOCAL, DeploygateProject
from pytest_deploygate.testing.project import direct_client
from pytest_deploygate.testing.sessions import PipedProcess
from tests.session_options import LEAN

REPOSITORY = Path(__file__).resolve().parents[2]
COPIED = ("pyproject.toml", "conftest.py", "suites", "fixtures", "test_invoices")
PAUSE_S = 0.01
"""Between two requests of a visitor, who is not to take the processor from those who are watched."""


@dataclass(slots=True, kw_only=True)
class Checkout(DeploygateProject):
    """A checkout of a user, with an emulator of its own."""

    environment: str = LOCAL
    options: tuple[str, ...] = LEAN
    service: str = "freckled-hen-analytics/locations/us-central1/services/process-invoice"

    @property
    def function(self) -> Path:
        """The source of the function."""
        return self.root / "fixtures" / "process_invoice"

    def touch_source(self, text: str) -> None:
        """Make another release of the function that does the same."""
        with (self.function / "main.py").open("a", encoding="utf-8") as file:
            file.write(f"\n# {text}\n")

    def start(self, *arguments: str, **variables: str) -> PipedProcess:
        """Begin a session in a new interpreter."""
        return self.popen(*self.command("pytest", *arguments), **variables)

    # -- what anybody sees from outside ----------------------------------------------------------

    def answering(self) -> str:
        """Which revision answers the public URL now."""
        return revision_of(self.get())

    def rows(self, tab: str) -> list[list[object]]:
        """All rows of a tab of the function's sheet."""
        sheet = "1PdnZGPZwAV6AHXEeByhOlaEeGObxYWppwLcq0gdvs0E"
        url = f"{self.endpoint}/v4/spreadsheets/{sheet}/values/{quote(f'{tab}!A:H')}"
        with direct_client() as client:
            answer = client.get(url, timeout=30)
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
        with direct_client() as session:
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


def journal(project: Checkout) -> list[dict[str, object]]:
    """All journal entries in the record of the project, oldest first, read with the standard library alone."""
    import sqlite3

    path = project.root / ".deploygate" / "state.db"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        rows = connection.execute("select body from deploygate_journal order by rowid").fetchall()
    return [json.loads(body) for (body,) in rows]
