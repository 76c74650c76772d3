"""Whether visitors lose a request while releases go through judged steps: real sessions on the emulator."""

import os
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from benchmarks import load
from benchmarks.figures import Figure
from tests.e2e.checkout import Checkout
from tests.e2e.greeting_project import FUNCTION, small_project

ROLLOUTS, VISITS = 20, 100_000
_CHUNK, _CONNECTIONS = 2_500, 2
_STEPS = (
    'steps = [{ percent = 5, for = "2s", at-most = "60s", least-requests = 20 }, '
    '{ percent = 25, for = "2s", at-most = "60s" }, 50, 100]\n'
)
_OBJECTIVE = '[tool.deploygate.objectives.errors]\nmetric = "error_rate"\nworse-by = "20pp"\n'


class _Visitors:
    """Visitors of the public URL, until :meth:`stop` and until they have asked often enough."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answered = self.lost = 0
        self.statuses: Counter[str] = Counter()
        self.revisions: Counter[str] = Counter()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.is_set() or self.answered < VISITS:
            seen = load.finish(load.start(self._port, _CHUNK, _CONNECTIONS))
            self.answered += seen["answered"]
            self.lost += seen["lost"] + max(0, _CHUNK - seen["answered"] - seen["lost"])
            self.statuses.update(seen["by_status"])
            self.revisions.update(seen["by_revision"])


def figures() -> list[Figure]:
    """Requests without an answer, or with another one than 200, of all that were sent during the rollouts."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(os.environ.get("DEPLOYGATE_BUILD_CACHE", f"{folder}/environments"))
        project = small_project(Path(folder, "checkout"), cache)
        try:
            return [_measure(project)]
        finally:
            project.close()


def _measure(project: Checkout) -> Figure:
    _deploy(project, 0)
    settings = project.root / "pyproject.toml"
    text = settings.read_text(encoding="utf-8")
    text = text.replace("public = true\n", f"public = true\n{_STEPS}") + _OBJECTIVE
    settings.write_text(text, encoding="utf-8")
    visitors = _Visitors(int(project.url.rpartition(":")[2].strip("/")))
    began = time.monotonic()
    visitors.start()
    try:
        for number in range(1, ROLLOUTS + 1):
            _deploy(project, number)
            record = project.last_rollout()
            judged = [step.percent for step in record.steps] if record is not None else []
            if judged != [5, 25]:
                raise RuntimeError(f"rollout {number} was judged at {judged}")
    finally:
        visitors.stop()
    wrong = sum(count for status, count in visitors.statuses.items() if status != "200")
    return Figure(
        topic="steps",
        what=f"requests lost of at least {VISITS:,} during {ROLLOUTS} rollouts, each judged at 5 % and 25 %",
        value=visitors.lost + wrong,
        at_most=0,
        note=f"{visitors.answered:,} answered by {len(visitors.revisions)} revisions in "
        f"{time.monotonic() - began:.0f} s; machine shared",
    )


def _deploy(project: Checkout, number: int) -> None:
    main = project.root / "function" / "main.py"
    main.write_text(f"{FUNCTION}# release {number}\n", encoding="utf-8")
    run = project.deploy("-q", "-n0")
    if run.status != 0:
        raise RuntimeError(run.output)
