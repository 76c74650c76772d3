"""A whole gated rollout against a bare update of the function, at Google's pace and at a tenth of its latencies.

A session is what somebody gets who types ``pytest`` where the package alone is installed, without extras: a new
interpreter, bytecode that is kept, and no plugins of pytest but its own and those of what it requires. The environment
of whoever measures has more of them (hypothesis, anyio, pytest-rerunfailures), each of which two processes would load.
"""

import importlib.metadata
import os
import tempfile
import time
from collections import Counter
from pathlib import Path

import requests
from packaging.requirements import Requirement

from benchmarks.figures import Figure
from tests.e2e.checkout import Checkout
from tests.e2e.greeting_project import FUNCTION, small_project
from tests.emulator.emulator_driver import zipped

FACTOR = 0.1
GATES_S = 5.0
_NAME = "projects/local-project/locations/us-central1/functions/hello-world"
_SLOW = """import time


def test_it_takes_its_time(verification):
    time.sleep({seconds})
"""


def figures() -> list[Figure]:
    """At a tenth of the latencies, where what this machine computes weighs ten times as much as at Google."""
    return _compare(FACTOR, repeats=2)


def unscaled_figures() -> list[Figure]:
    """At Google's own latencies; takes five minutes, in which next to nothing is computed."""
    return _compare(1.0, repeats=1)


def _compare(factor: float, *, repeats: int) -> list[Figure]:
    """The ratio of both, and what was asked of the platform."""
    with tempfile.TemporaryDirectory() as folder:
        project = paced_project(Path(folder), factor=factor)
        try:
            before = last_call(project)
            gated = min(deploy_another(project, number) for number in range(repeats))
            calls = calls_after(project, before)
            # last: traffic follows what it deploys, which no rollout could start from
            bare = min(_bare(project, number) for number in range(repeats))
        finally:
            project.close()
    topic = "google's pace" if factor == 1 else f"google's pace / {1 / factor:g}"
    kinds = Counter(kind_of(call) for call in calls)
    return [
        Figure(
            topic=topic,
            what="whole gated rollout, times a bare functions.patch of the same source (best)",
            value=gated / bare,
            at_most=1.35,
            note=f"{gated:.1f} s and {bare:.1f} s; a gate of {GATES_S * factor:g} s",
        ),
        *(
            Figure(
                topic=topic,
                what=f"admin calls of a rollout: {kind}",
                value=count / repeats,
                unit="calls",
            )
            for kind, count in sorted(kinds.items())
        ),
    ]


def paced_project(folder: Path, *, emulates: str = "google", factor: float = FACTOR) -> Checkout:
    """The small project with a release that serves, at Google's pace times the factor from now on."""
    cache = Path(os.environ.get("DEPLOYGATE_BUILD_CACHE", f"{folder}/environments"))
    project = small_project(folder / "checkout", cache, emulates=emulates)
    project.options = tuple(f"-p{name}" for name in installed_plugins())
    project.variables["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    slow = _SLOW.format(seconds=GATES_S * factor)
    (project.root / "checks" / "greeting" / "test_slow.py").write_text(slow, encoding="utf-8")
    try:
        deploy(project)
        project.deploygate("emulator", "down")
        pace = f'pace = "google"\npace_factor = {factor}\n'
        (project.state_dir / "local" / "settings.toml").write_text(pace, encoding="utf-8")
        project.deploygate("emulator", "up")
    except BaseException:
        project.close()
        raise
    return project


def installed_plugins() -> list[str]:
    """Plugins of pytest that are there where ``pip install pytest-deploygate`` was all that was typed."""
    known: set[str] = set()
    waiting = ["pytest-deploygate"]
    while waiting:
        name = waiting.pop()
        if name in known:
            continue
        known.add(name)
        required = map(Requirement, importlib.metadata.requires(name) or ())
        waiting += [
            one.name for one in required if one.marker is None or one.marker.evaluate({"extra": ""})
        ]
    return [
        entry.name
        for name in sorted(known)
        for entry in importlib.metadata.distribution(name).entry_points
        if entry.group == "pytest11"
    ]


def deploy(project: Checkout) -> float:
    """Seconds that a session takes which promotes."""
    began = time.monotonic()
    run = project.deploy("-q", PYTHONDONTWRITEBYTECODE="")
    if run.status != 0:
        raise RuntimeError(run.output)
    return time.monotonic() - began


def deploy_another(project: Checkout, number: int) -> float:
    """Seconds of the rollout of another release."""
    main = project.root / "function" / "main.py"
    main.write_text(f"{FUNCTION}# gated {number}\n", encoding="utf-8")
    return deploy(project)


def _bare(project: Checkout, number: int) -> float:
    """Upload and update as gcloud does, and wait for the operation."""
    with requests.Session() as session:
        session.trust_env = False
        api = f"{project.endpoint}/v2"
        archive = zipped(
            main_py=f"{FUNCTION}# bare {number}\n", requirements_txt="functions-framework\n"
        )
        began = time.monotonic()
        parent = _NAME.rpartition("/functions/")[0]
        place = session.post(f"{api}/{parent}/functions:generateUploadUrl", json={}, timeout=60)
        answer = place.json()
        headers = {"content-type": "application/zip"}
        session.put(answer["uploadUrl"], data=archive, headers=headers, timeout=60)
        body = {"buildConfig": {"source": {"storageSource": answer["storageSource"]}}}
        mask = {"updateMask": "buildConfig.source"}
        operation = session.patch(f"{api}/{_NAME}", params=mask, json=body, timeout=60).json()
        while not operation.get("done"):
            time.sleep(0.1)
            operation = session.get(f"{api}/{operation['name']}", timeout=60).json()
        if "error" in operation:
            raise RuntimeError(operation["error"])
        return time.monotonic() - began


def calls_after(project: Checkout, after: int) -> list[dict[str, object]]:
    """What the emulator was asked since the call with that number."""
    found = project.call_emulator(f"admin-log?after={after}")
    assert isinstance(found, dict)
    return list(found["calls"])


def last_call(project: Checkout) -> int:
    """Number of the newest call."""
    return max((int(str(call["seq"])) for call in calls_after(project, 0)), default=0)


def kind_of(call: dict[str, object]) -> str:
    """What a call is counted as."""
    path, method = str(call["path"]), str(call["method"])
    for words, name in (("/operations/", "operation"), ("/revisions/", "revision")):
        if words in path and method == "GET":
            return f"polls and reads of a {name}"
    for words in ("/builds", "/storage", "/operations", "/functions", "/services", "/timeSeries"):
        if words in path:
            return f"{method} {words.removeprefix('/')}"
    return "others"
