"""A whole gated rollout against a bare update of the function, at Google's pace divided by ten."""

import tempfile
import time
from collections import Counter
from pathlib import Path

import requests

from benchmarks.figures import Figure
from tests.e2e.checkout import Project
from tests.e2e.greeting_project import FUNCTION, small_project
from tests.emulator.emulator_driver import zipped

FACTOR = 0.1
GATES_S = 5.0
_NAME = "projects/local-project/locations/us-central1/functions/hello-world"
_SLOW = f"""import time


def test_it_takes_its_time(verification):
    time.sleep({GATES_S * FACTOR})
"""


def figures() -> list[Figure]:
    """The ratio of both, and what was asked of the platform."""
    with tempfile.TemporaryDirectory() as folder:
        project = small_project(Path(folder, "checkout"), Path(folder, "environments"))
        home = project.root / ".deploygate" / "local"
        home.mkdir(parents=True)
        pace = f'pace = "google"\npace_factor = {FACTOR}\n'
        (home / "settings.toml").write_text(pace, encoding="utf-8")
        (project.root / "checks" / "greeting" / "test_slow.py").write_text(_SLOW, encoding="utf-8")
        try:
            _deploy(project)
            bare = min(_bare(project, number) for number in range(2))
            before = _last(project)
            gated = min(_gated(project, number) for number in range(2))
            calls = _calls(project, before)
        finally:
            project.close()
    kinds = Counter(_kind(call) for call in calls)
    return [
        Figure(
            topic="google's pace / 10",
            what="whole gated rollout, times a bare functions.patch of the same source (best of 2)",
            value=gated / bare,
            at_most=1.35,
            note=f"{gated:.1f} s and {bare:.1f} s; gates of {GATES_S * FACTOR:g} s",
        ),
        *(
            Figure(
                topic="google's pace / 10",
                what=f"admin calls of a rollout: {kind}",
                value=count / 2,
                unit="calls",
            )
            for kind, count in sorted(kinds.items())
        ),
    ]


def _deploy(project: Project) -> float:
    began = time.monotonic()
    run = project.deploy("-q")
    if run.status != 0:
        raise RuntimeError(run.output)
    return time.monotonic() - began


def _gated(project: Project, number: int) -> float:
    main = project.root / "function" / "main.py"
    main.write_text(f"{FUNCTION}# gated {number}\n", encoding="utf-8")
    return _deploy(project)


def _bare(project: Project, number: int) -> float:
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


def _calls(project: Project, after: int) -> list[dict[str, object]]:
    found = project.local(f"admin-log?after={after}")
    assert isinstance(found, dict)
    return list(found["calls"])


def _last(project: Project) -> int:
    return max((int(str(call["seq"])) for call in _calls(project, 0)), default=0)


def _kind(call: dict[str, object]) -> str:
    path, method = str(call["path"]), str(call["method"])
    for words, name in (("/operations/", "operation"), ("/revisions/", "revision")):
        if words in path and method == "GET":
            return f"polls and reads of a {name}"
    for words in ("/operations", "/functions", "/services", "/timeSeries"):
        if words in path:
            return f"{method} {words.removeprefix('/')}"
    return "others"
