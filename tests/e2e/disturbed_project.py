"""A project on which sessions are killed, interrupted and disturbed again and again, and what is seen of it.

Its sessions are forked from a process that has loaded what all of them load.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import requests

from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.emulator.lifecycle import find
from pytest_deploygate.store.sql import SqlStore, open_store
from pytest_deploygate.system.clock import SystemClock
from pytest_deploygate.testing.session_outcome import read_junit
from pytest_deploygate.testing.sessions import ForkedSession
from pytest_deploygate.wiring import STATE_VARIABLE as RECORD_VARIABLE
from tests.e2e import killing_store
from tests.e2e.checkout import REPOSITORY, Checkout, until
from tests.e2e.greeting_project import SERVICE
from tests.session_options import LEAN

LOCAL = "local"
HOLDING = """
import os
import time
from pathlib import Path


def test_it_waits_for_word():
    if os.environ.get("HOLD") != Path(__file__).parent.name:
        return
    Path("held").touch()
    deadline = time.monotonic() + 250
    while not Path("word").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert Path("word").read_text() == "go on"
"""
"""A check that waits for :meth:`DisturbedProject.say` in the session whose variable ``HOLD`` names its gate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KillCase:
    """What is killed. ``breaks`` is what a release says wrong: to the live gate alone, so that it has the traffic."""

    name: str
    has_baseline: bool = True
    breaks: bool = False


FIRST = KillCase(name="first-release", has_baseline=False)
PROMOTED = KillCase(name="promoted")
ROLLED_BACK = KillCase(name="rolled-back", breaks=True)
STAGED = KillCase(name="staged")
"""As PROMOTED, for a sample of its own: of deaths while revisions are staged."""
KILL_CASES = (FIRST, PROMOTED, ROLLED_BACK, STAGED)


def points(writes: list[str]) -> list[str]:
    """Before and after every entry of the journal; and before each other write, unless that is after an entry."""
    found = []
    for number, write in enumerate(writes, start=1):
        is_entry = write.startswith(killing_store.JOURNAL)
        if is_entry or not (number > 1 and writes[number - 2].startswith(killing_store.JOURNAL)):
            found.append(f"before:{number}")
        if is_entry:
            found.append(f"after:{number}")
    return found


@dataclass(slots=True, kw_only=True)
class DisturbedProject:
    """One project on which everything is killed; between two kills its newest release serves."""

    project: Checkout
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    _count: int = 0
    _begun: list[ForkedSession] = field(default_factory=list)

    # -- what happens ----------------------------------------------------------------------------

    def release(self, *, breaks: bool = False) -> None:
        """Another release, that greets well or badly."""
        self._count += 1
        main = self.project.root / "function" / "main.py"
        text = main.read_text(encoding="utf-8").partition("\n# release")[0]
        old, new = '"nobody"', '"world"'
        text = text.replace(new, old) if breaks else text.replace(old, new)
        main.write_text(f"{text}\n# release {self._count} {os.getpid()}\n", encoding="utf-8")

    def deploy(self, *options: str, at: str = "", watchdog: bool = False, **variables: str) -> int:
        """A session that counts its writes, and is killed at ``at``; its exit status, and what it printed is kept."""
        return self.begin(*options, at=at, watchdog=watchdog, **variables).end()

    def begin(
        self, *options: str, at: str = "", watchdog: bool = False, log: str = "output", **more: str
    ) -> ForkedSession:
        """The same, not waited for."""
        report = self.folder / f"{log}.xml"
        for path in (self.note, self.counted, report):
            path.unlink(missing_ok=True)
        arguments = [f"--deploy-to={LOCAL}", "-p", "no:cacheprovider", *LEAN, *options]
        arguments += [] if watchdog else ["--deploy-no-watchdog"]
        arguments.append(f"--junitxml={report}")
        variables = self.environment(at=at, **more)
        session = ForkedSession(
            "pytest", self.project.root, arguments, variables, self.folder / log
        )
        self._begun.append(session)
        return session

    def environment(self, *, at: str = "", **more: str) -> dict[str, str]:
        """Variables of a session that counts its writes, and is struck at ``at``."""
        known = {"KILL_AT": at, "KILLED": str(self.note), "WRITES": str(self.counted)}
        known |= {"PYTHONPATH": str(REPOSITORY), RECORD_VARIABLE: f"{killing_store.__name__}:make"}
        return self.project.all_variables(**{**known, **self.variables, **more})

    def command(self, *arguments: str) -> int:
        """``deploygate`` with ``arguments``; its exit status."""
        variables = self.project.all_variables(**self.variables)
        log = self.folder / "output"
        return ForkedSession("deploygate", self.project.root, [*arguments], variables, log).end()

    def recover(self) -> None:
        """``deploygate recover local``."""
        assert self.command("recover", LOCAL) == 0, self.output

    def prepare(self, case: KillCase) -> None:
        """Have nothing deployed, or a release that serves, as the case begins; whatever went before."""
        while self._begun:
            self._begun.pop().kill()
        if not case.has_baseline:
            self.undeploy()
        elif not self.exists or not self.is_settled():
            self.release()
            assert self.deploy() == 0, self.output

    def undeploy(self) -> None:
        """Nothing is deployed any more, by somebody's hand."""
        for kind in ("functions", "services"):  # a service of Cloud Run alone has no function
            url = f"{self.project.endpoint}/v2/projects/{SERVICE.replace('services', kind)}"
            requests.delete(url, timeout=30)
            until(
                lambda url=url: requests.get(url, timeout=30).status_code == 404,  # type: ignore[misc]
                seconds=120,
                what="the function is gone",
            )

    # -- sessions that wait ----------------------------------------------------------------------

    def hold(
        self, gate: str, *options: str, watchdog: bool = False, **variables: str
    ) -> ForkedSession:
        """A session that waits for :meth:`say` in a check of ``gate``; it is there when this returns."""
        self.forget_word()
        session = self.begin(*options, watchdog=watchdog, HOLD=gate, **variables)
        held = self.project.root / "held"
        until(lambda: held.exists() or not session.is_running, seconds=120, what="it waits")
        assert session.is_running, session.output
        return session

    def forget_word(self) -> None:
        """Let sessions that begin now wait."""
        for name in ("held", "word"):
            (self.project.root / name).unlink(missing_ok=True)

    def say(self, word: str) -> None:
        """Let a session that waits go on if the word is ``go on``; with any other one the gate breaks."""
        draft = self.project.root / "draft"
        draft.write_text(word, encoding="utf-8")
        draft.rename(self.project.root / "word")

    # -- what is seen ----------------------------------------------------------------------------

    @property
    def note(self) -> Path:
        """What was killed."""
        return self.folder / "killed"

    @property
    def record(self) -> Path:
        """The file of the record."""
        return self.project.root / ".deploygate" / "state.db"

    @property
    def counted(self) -> Path:
        """What the newest session wrote."""
        return self.folder / "writes"

    def written(self) -> list[str]:
        """What the newest session wrote, in order."""
        return self.counted.read_text(encoding="utf-8").splitlines()

    def properties(self) -> dict[str, str]:
        """What the JUnit file of the newest session says of the deployment."""
        report = read_junit(self.folder / "output.xml")
        return dict(report.properties) if report is not None else {}

    @property
    def output(self) -> str:
        """What the newest command printed."""
        return (self.folder / "output").read_text(encoding="utf-8")

    @property
    def exists(self) -> bool:
        """Whether anything is deployed."""
        return "uri" in self.project.describe_service()

    @property
    def serving(self) -> str | None:
        """The revision that has all traffic, as the platform says and as it answers; None where none is deployed."""
        if not self.exists:
            return None
        ((revision, percent),) = self.project.shares.items()
        assert percent == 100
        assert self.project.answering() == revision
        return revision

    def store(self) -> SqlStore:
        """The record."""
        return open_store(
            self.variables.get(RECORD_VARIABLE, f"sqlite:///{self.record}"), SystemClock()
        )

    def newest(self) -> RolloutRecord | None:
        """The newest rollout."""
        with self.store() as store:
            return next(iter(store.history(LOCAL, 1)), None)  # type: ignore[arg-type]

    def is_settled(self) -> bool:
        """Whether no rollout is open and nobody holds the lease."""
        with self.store() as store:
            return not store.open_rollouts(LOCAL) and store.lease(LOCAL) is None  # type: ignore[arg-type]

    def left_over(self) -> list[str]:
        """Command lines of processes that work on the project and do not belong to the emulator."""
        root = str(self.project.root)
        cloud = find(self.project.root / ".deploygate" / "local")
        belongs = set()
        if cloud is not None:
            whole = psutil.Process(cloud.pid)
            belongs = {whole.pid, *(child.pid for child in whole.children(recursive=True))}
        found = []
        for process in psutil.process_iter(["cmdline", "cwd", "status"]):
            line = " ".join(process.info["cmdline"] or ())
            is_here = root in line or str(process.info["cwd"]).startswith(root)
            if is_here and process.pid not in belongs and process.info["status"] != "zombie":
                found.append(line)
        return found
