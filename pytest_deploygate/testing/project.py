"""A small project that is deployed by real sessions, made from a few words.

Sessions and commands run in processes of their own and are seen from outside only: exit status, output, JUnit file,
record, and what the platform shows.
"""

import contextlib
import json
import os
import pickle
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent
from typing import TYPE_CHECKING, Self

import requests

from pytest_deploygate.emulator.emulator_settings import BUILD_CACHE_VARIABLE
from pytest_deploygate.emulator.lifecycle import find, stop
from pytest_deploygate.testing.session_outcome import SessionOutcome, read_junit
from pytest_deploygate.testing.sessions import LIMIT_S, ForkedSession, PipedProcess
from pytest_deploygate.testing.target_on_disk import cloud_file, write_cloud

if TYPE_CHECKING:
    from pytest_deploygate.core.record import RolloutRecord
    from pytest_deploygate.store.sql import SqlStore
    from pytest_deploygate.testing.fake_cloud import FakeCloud

FAKE, LOCAL = "fake", "local"
"""Environments: the fake target, whose cloud is a file of the project; the emulator, which runs the function."""
REPORT = "junit.xml"
REQUEST_S = 30
FOREIGN_VARIABLES = ("PYTEST", "DEPLOYGATE", "OTEL", "NO_COLOR", "FORCE_COLOR", "PY_COLORS")
"""Beginnings of variables of whoever runs the tests that sessions do not inherit."""


@dataclass(slots=True, kw_only=True)
class DeploygateProject:
    """A project directory, and what is done in it.

    ``variables`` are environment variables of all its sessions; they win over those of the caller.
    """

    root: Path
    environment: str = FAKE
    """The environment of the settings that :meth:`deploy` deploys to."""
    variables: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    """Options of every ``pytest``."""
    service: str = "local-project/locations/us-central1/services/hello"
    """Of the emulator: the service of the function."""
    _begun: list[ForkedSession | PipedProcess] = field(default_factory=list, repr=False)

    # -- files ------------------------------------------------------------------------------------

    def write(self, files: Mapping[str, str]) -> Self:
        """Add or replace files, with their text dedented; an empty text removes one."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text:
                path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
            else:
                path.unlink(missing_ok=True)
        return self

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace ``old`` once in a file; it must be there."""
        file = self.root / path
        text = file.read_text(encoding="utf-8")
        if old not in text:
            raise ValueError(f"{old!r} is not in {path}")
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    def add_settings(self, text: str) -> None:
        """Append tables to ``pyproject.toml``."""
        with (self.root / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write(f"\n{dedent(text)}")

    def change_function(self, text: str) -> None:
        """Make another release of the function: ``text`` becomes a comment at its end."""
        with (self.root / "function" / "main.py").open("a", encoding="utf-8") as file:
            file.write(f"\n# {text}\n")

    def copy(self, root: Path) -> Self:
        """The same project elsewhere, with its record, and its cloud where that is the fake."""
        leave = shutil.ignore_patterns("__pycache__", ".pytest_cache", REPORT, "output")
        shutil.copytree(self.root, root, ignore=leave, dirs_exist_ok=True)
        return type(self)(
            root=root,
            environment=self.environment,
            variables=dict(self.variables),
            options=self.options,
            service=self.service,
        )

    # -- sessions and commands --------------------------------------------------------------------

    def deploy(
        self, *arguments: str, workers: int | None = None, **variables: str
    ) -> SessionOutcome:
        """``pytest --deploy-to=ENVIRONMENT``; ``workers`` is ``-n``.

        To the fake target in one process unless ``workers`` says otherwise, and without a watchdog.
        """
        return self.pytest(*self.deploy_options(workers=workers), *arguments, **variables)

    def deploy_options(self, *, workers: int | None = None) -> list[str]:
        """Options of :meth:`deploy`."""
        options = [f"--deploy-to={self.environment}"]
        if self.environment == FAKE:
            options += ["--deploy-no-watchdog", f"-n{workers or 0}"]
        elif workers is not None:
            options.append(f"-n{workers}")
        return options

    def pytest(self, *arguments: str, **variables: str) -> SessionOutcome:
        """``pytest`` with ``arguments``, its JUnit file in ``junit.xml``."""
        return self._run("pytest", arguments, variables)

    def deploygate(self, *arguments: str, **variables: str) -> SessionOutcome:
        """``deploygate`` with ``arguments``."""
        return self._run("deploygate", arguments, variables)

    def begin(
        self, command: str, *arguments: str, log: Path | None = None, **variables: str
    ) -> ForkedSession:
        """Begin ``pytest`` or ``deploygate``, to be signalled or watched; :meth:`finish` waits for it."""
        session = ForkedSession(
            command,
            self.root,
            self._arguments(command, arguments),
            self.all_variables(**variables),
            log or self.root / "output",
        )
        self._begun.append(session)
        return session

    def finish(self, session: ForkedSession | PipedProcess) -> SessionOutcome:
        """Wait for what :meth:`begin` or :meth:`popen` began."""
        if isinstance(session, ForkedSession):
            status, out, err = session.end(), session.output, session.errors
        else:
            out, err = session.communicate(timeout=LIMIT_S)
            status = session.returncode
        ended_at = datetime.now(UTC)
        return SessionOutcome(
            status=status,
            out=out,
            err=err,
            junit=read_junit(self.root / REPORT),
            shares=self._shares_now(),
            find_record=lambda: self._record_between(session.began_at, ended_at),
        )

    def command(self, command: str, *arguments: str) -> list[str]:
        """The command line of ``pytest`` or ``deploygate`` with ``arguments``, in a new interpreter."""
        module = "pytest" if command == "pytest" else "pytest_deploygate.cli"
        return [sys.executable, "-m", module, *self._arguments(command, arguments)]

    def popen(self, *command: str, **variables: str) -> PipedProcess:
        """Begin any command line, its output in pipes; :meth:`close` kills it where nobody has waited for it."""
        process = PipedProcess(command, self.root, self.all_variables(**variables))
        self._begun.append(process)
        return process

    def all_variables(self, **more: str) -> dict[str, str]:
        """Environment variables of a session: the caller's without what is about the caller's own session."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(FOREIGN_VARIABLES) or name == BUILD_CACHE_VARIABLE
        }
        return {**inherited, "COLUMNS": "200", **self.variables, **more}

    def _arguments(self, command: str, arguments: Sequence[str]) -> list[str]:
        (self.root / REPORT).unlink(missing_ok=True)
        if command != "pytest":
            return [*arguments]
        return [*self.options, f"--junitxml={REPORT}", *arguments]

    def _run(
        self, command: str, arguments: Sequence[str], variables: Mapping[str, str]
    ) -> SessionOutcome:
        """In a forked process, unless Python itself is told how to begin."""
        if any(name.startswith("PYTHON") for name in variables):
            return self.finish(self.popen(*self.command(command, *arguments), **variables))
        with TemporaryDirectory() as folder:
            session = ForkedSession(
                command,
                self.root,
                self._arguments(command, arguments),
                self.all_variables(**variables),
                Path(folder, "out"),
                Path(folder, "errors"),
            )
            return self.finish(session)

    # -- what there is ----------------------------------------------------------------------------

    @contextmanager
    def store(self) -> "Iterator[SqlStore]":
        """The record, to be read."""
        from pytest_deploygate.store.sql import open_store
        from pytest_deploygate.system.clock import SystemClock
        from pytest_deploygate.wiring import STATE_VARIABLE

        url = self.variables.get(STATE_VARIABLE, f"sqlite:///{self.state_dir / 'state.db'}")
        with contextlib.closing(open_store(url, SystemClock())) as store:
            yield store

    def last_rollout(self) -> "RolloutRecord | None":
        """The newest rollout of the record."""
        if not (self.state_dir / "state.db").exists():
            return None
        with self.store() as store:
            return next(iter(store.history(None, 1)), None)

    def _record_between(self, began_at: datetime, ended_at: datetime) -> "RolloutRecord | None":
        record = self.last_rollout()
        is_of_it = record is not None and began_at <= record.began_at <= ended_at
        return record if is_of_it else None

    @property
    def state_dir(self) -> Path:
        """Where the plugin keeps its record and its log."""
        return self.root / ".deploygate"

    def events(self, name: str) -> list[dict[str, object]]:
        """Lines of the log with the event ``name``."""
        text = (self.state_dir / "log.jsonl").read_text(encoding="utf-8")
        lines: list[dict[str, object]] = [json.loads(line) for line in text.splitlines()]
        return [line for line in lines if line["event"] == name]

    @property
    def shares(self) -> dict[str, int]:
        """What serves: percent by revision, as the platform shows it; nothing where nothing is deployed."""
        if cloud_file(self.root).exists():
            with self.cloud() as cloud:
                return {str(revision): percent for revision, percent in cloud.serving().shares}
        if find(self.state_dir / "local") is None:
            return {}
        service = self.describe_service()
        latest = str(service.get("latestReadyRevision", "")).rsplit("/", 1)[-1]
        statuses = service.get("trafficStatuses", [])
        assert isinstance(statuses, list)
        return {
            one.get("revision", latest): one["percent"] for one in statuses if one.get("percent")
        }

    def _shares_now(self) -> dict[str, int]:
        """Of a platform that may have been killed or damaged."""
        unreadable = (requests.RequestException, ValueError, EOFError, pickle.UnpicklingError)
        with contextlib.suppress(*unreadable):
            return self.shares
        return {}

    @property
    def serving(self) -> str:
        """The revision that serves all traffic; empty where none does."""
        shares = self.shares
        return next(iter(shares)) if list(shares.values()) == [100] else ""

    # -- the fake target --------------------------------------------------------------------------

    @contextmanager
    def cloud(self) -> "Iterator[FakeCloud]":
        """What the fake target's platform is, to look at it and to change it as somebody else would."""
        path = cloud_file(self.root)
        cloud: FakeCloud = pickle.loads(path.read_bytes())  # noqa: S301 # a session of this project wrote it
        before = pickle.dumps(cloud)
        yield cloud
        if (after := pickle.dumps(cloud)) != before:
            write_cloud(path, after)

    def platform_digest(self) -> str:
        """The same text as before if nothing was changed on the fake target's platform."""
        return sha256(cloud_file(self.root).read_bytes()).hexdigest()

    # -- the emulator -----------------------------------------------------------------------------

    @property
    def endpoint(self) -> str:
        """Where the emulator of the project takes calls of its APIs."""
        emulator = find(self.state_dir / "local")
        assert emulator is not None, "the emulator does not run"
        return emulator.endpoint

    def call_emulator(self, path: str, /, **body: object) -> object:
        """Ask the emulator something over its side endpoint, or tell it something."""
        url = f"{self.endpoint}/_local/{path}"
        with direct_client() as client:
            method = "POST" if body else "GET"
            answer = client.request(method, url, json=body or None, timeout=REQUEST_S)
            answer.raise_for_status()
            return answer.json() if answer.content else None

    def describe_service(self) -> dict[str, object]:
        """The Cloud Run service as the emulator describes it."""
        with direct_client() as client:
            found: dict[str, object] = client.get(
                f"{self.endpoint}/v2/projects/{self.service}", timeout=REQUEST_S
            ).json()
        return found

    @property
    def url(self) -> str:
        """The public URL of the function in the emulator."""
        return str(self.describe_service()["uri"])

    def get(self, path: str = "") -> requests.Response:
        """What the function answers at its public URL."""
        with direct_client() as client:
            return client.get(f"{self.url}/{path}", timeout=REQUEST_S)

    def close(self) -> None:
        """Kill what was begun and still runs, and stop the emulator with everything that it runs."""
        for process in self._begun:
            process.close()
        stop(self.state_dir / "local")


def direct_client() -> requests.Session:
    """A client that uses no proxy."""
    client = requests.Session()
    client.trust_env = False
    return client
