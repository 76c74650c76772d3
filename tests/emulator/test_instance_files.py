"""What an instance writes is seen by no other instance, is gone with it, and counts as memory."""

from pathlib import Path

import pytest

from pytest_deploygate.emulator.lifecycle import ensure_running, stop
from tests.emulator.emulator_driver import Driver, RevisionPair, short_name, to, until

_WRITER = """
import os, pathlib, tempfile, flask

def _places():
    here = pathlib.Path(__file__).parent
    return {
        "source": here / "mark.txt", "main": here / "main.py", "cwd": pathlib.Path("mark-cwd.txt"),
        "pip": pathlib.Path(flask.__file__).parents[1] / "werkzeug" / "__init__.py",
        "package": pathlib.Path(flask.__file__).parent / "mark.txt", "module": pathlib.Path(flask.__file__),
        "tmp": pathlib.Path("/tmp/deploygate-mark.txt"), "tempfile": pathlib.Path(tempfile.gettempdir()) / "mark.txt",
        "home": pathlib.Path.home() / "mark.txt",
    }

def hello(request):
    found = {}
    for name, path in _places().items():
        if request.method == "POST":
            try:
                os.chmod(path if path.exists() else path.parent, 0o755)  # its owner may
                with open(path, "a") as file:
                    file.write("\\n# mark")
            except OSError as error:
                found[name] = "refused"
                continue
        found[name] = path.exists() and "# mark" in path.read_text()[-20:]
    if request.args.get("fill"):
        with open("/tmp/ballast", "wb") as file:
            file.write(b"x" * int(request.args["fill"]))
    return {"revision": os.environ["K_REVISION"], "version": VERSION, "marks": found}
"""


@pytest.fixture(scope="module")
def writers(shared_driver: Driver) -> RevisionPair:
    """Two revisions of one build, one with a tag, and another function of the same archive."""
    service = shared_driver.deploy("writers", _WRITER.replace("VERSION", "1"))
    first = short_name(service.latest_ready_revision)
    wanted = shared_driver.function("writers", COLOR="blue")
    second = shared_driver.update(wanted, "service_config.environment_variables")
    revision = second.service_config.revision
    shared_driver.traffic(service.name, to(first, 100), to(revision, tag="other"))
    return RevisionPair(shared_driver.service(service.name), first, revision)


def _url(pair: RevisionPair, tag: str) -> str:
    return next(status.uri for status in pair.service.traffic_statuses if status.tag == tag)


def test_what_one_revision_writes_no_other_sees(driver: Driver, writers: RevisionPair) -> None:
    written = driver.http.post(writers.service.uri, timeout=20).json()["marks"]
    assert all(mark in {True, "refused"} for mark in written.values())
    assert written["tmp"] is True
    seen = driver.get(_url(writers, "other")).json()["marks"]
    assert not any(seen.values()), seen
    later = driver.deploy("writers-again", _WRITER.replace("VERSION", "1"))
    assert not any(driver.get(later.uri).json()["marks"].values())


def test_what_an_instance_wrote_is_gone_with_it(driver: Driver, writers: RevisionPair) -> None:
    driver.http.post(writers.service.uri, timeout=20)
    driver.local("POST", f"revisions/{writers.first}/inject_fault", {"kill": True})
    marks = until(lambda: driver.get(writers.service.uri), lambda answer: answer.ok).json()["marks"]
    assert not any(marks.values())


def test_files_count_as_memory(driver: Driver, writers: RevisionPair) -> None:
    def used_mb() -> float:
        found = driver.local("GET", f"revisions/{writers.second}/statistics")["memory_mb"]
        assert isinstance(found, dict)
        return float(found["now"])

    driver.get(_url(writers, "other"))
    before_mb = used_mb()
    driver.get(f"{_url(writers, 'other')}/?fill={100 << 20}")
    until(used_mb, lambda now_mb: now_mb > before_mb + 90)


def test_packages_are_copied_where_no_layer_can_be_laid_over_them(tmp_path: Path) -> None:
    """As where the kernel has no layers; here for a comma in the path, which the kernel takes for an option."""
    home = tmp_path / "a, b"
    try:
        with Driver(ensure_running(home)) as driver:
            url = driver.deploy("writers", _WRITER.replace("VERSION", "1")).uri
            written = driver.http.post(url, timeout=20).json()["marks"]
            assert written["module"] is written["pip"] is True
            other = driver.deploy("others", _WRITER.replace("VERSION", "1")).uri
            assert not any(driver.get(other).json()["marks"].values())
    finally:
        stop(home)
    assert list((home / "instances").iterdir()) == []
