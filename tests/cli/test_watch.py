"""watch: one line a round, rolls back when what serves is no longer good, and ends cleanly."""

import json
import re
import signal
from textwrap import dedent

from tests.cli.cli_project import CliProject

LINE = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ) fake (?P<what>[A-Z_ ]+) "
    r"\(exit (?P<status>\d+), [\d.]+ s\): (?P<reason>.+)"
)


def test_watch_once_says_in_one_line_that_all_is_well(project: CliProject) -> None:
    done = project.deploygate("watch", "fake", "--once")
    found = LINE.fullmatch(done.out.strip())
    assert found is not None, done.out
    assert (done.status, found["what"], found["status"]) == (0, "KEEP JUDGED", "0")
    (event,) = project.events("watch.round")
    assert event["verdict"] == "KEEP"


def test_watch_rolls_back_and_goes_on(project: CliProject) -> None:
    process = project.popen(
        *project.command(
            "deploygate", "watch", "fake", "--interval", "1", "--rounds", "3", "--json"
        )
    )
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    assert first["verdict"] == "KEEP"
    project.say("live", "bad")
    while (second := json.loads(process.stdout.readline()))["verdict"] == "KEEP":
        pass
    assert (second["verdict"], second["state"]) == ("ROLL_BACK", "ROLLED_BACK")
    assert "gate live failed" in second["reason"]
    assert project.shares == {"svc-00001": 100}
    process.send_signal(signal.SIGTERM)
    project.finish(process)
    (event,) = project.events("rollback.completed")
    assert event["rollback_successful"] is True
    assert event["correlation_id"] == second["rollout_id"]


def test_watch_report_only_never_acts(project: CliProject) -> None:
    project.say("live", "bad")
    done = project.deploygate("watch", "fake", "--once", "--report-only")
    assert done.status == 1
    assert " ROLL_BACK JUDGED " in done.out
    assert project.shares == {"svc-00002": 100}


def test_watch_of_an_environment_that_only_reports_never_acts(project: CliProject) -> None:
    project.write_settings(environment='on-failure = "report"')
    project.say("live", "bad")
    assert project.deploygate("watch", "fake", "--once").status == 1
    assert project.shares == {"svc-00002": 100}


def test_watch_survives_rounds_that_cannot_be_run(project: CliProject) -> None:
    (project.root / "suites" / "test_live.py").write_text("import nonsense\n")
    done = project.deploygate("watch", "fake", "--interval", "1", "--rounds", "2")
    lines = done.out.splitlines()
    assert len(lines) == 2
    assert all(" fake UNKNOWN" in line for line in lines), done.out
    assert project.shares == {"svc-00002": 100}


def test_watch_survives_a_platform_that_does_not_answer(project: CliProject) -> None:
    cloud = (project.root / "fake.pickle").read_bytes()
    (project.root / "fake.pickle").write_bytes(b"")
    done = project.deploygate("watch", "fake", "--once")
    assert done.status != 0
    assert len(done.out.splitlines()) == 1
    (project.root / "fake.pickle").write_bytes(cloud)
    assert project.deploygate("watch", "fake", "--once").status == 0


def test_watch_ends_cleanly_by_a_signal(project: CliProject) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        process = project.popen(
            *project.command("deploygate", "watch", "fake", "--interval", "600")
        )
        assert process.stdout is not None
        assert " KEEP " in process.stdout.readline()
        process.send_signal(number)
        done = project.finish(process)
        assert (done.status, done.out, done.err) == (0, "", "")


def test_watch_ends_its_session_when_it_is_ended(project: CliProject) -> None:
    waiting = project.root / "waiting"
    (project.root / "suites" / "test_live.py").write_text(
        dedent(f"""
            import time
            from pathlib import Path


            def test_live():
                Path({str(waiting)!r}).touch()
                time.sleep(100)
        """)
    )
    process = project.popen(*project.command("deploygate", "watch", "fake"))
    while not waiting.exists():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    done = project.finish(process)
    assert (done.status, done.out) == (0, "")
    assert project.shares == {"svc-00002": 100}


MOVING = """\
import pickle

from pytest_deploygate.testing import target_on_disk


class Moving:
    def __init__(self, kept, root):
        self.kept, self.mark = kept, root / "moved"
        self.cloud_file = target_on_disk.cloud_file(root)

    def __getattr__(self, name):
        if name == "snapshot" and self.mark.exists():
            self.mark.unlink()
            cloud = pickle.loads(self.cloud_file.read_bytes())
            cloud.human_moves()
            target_on_disk.write_cloud(self.cloud_file, pickle.dumps(cloud))
        return getattr(self.kept, name)


def make(environment, settings, clock):
    return Moving(target_on_disk.make(environment, settings, clock), settings.root)
"""


def test_checks_never_roll_back_what_they_did_not_judge(project: CliProject) -> None:
    (project.root / "moving.py").write_text(MOVING)
    pyproject = project.root / "pyproject.toml"
    pyproject.write_text(
        pyproject.read_text().replace(
            "pytest_deploygate.testing.target_on_disk:make", "moving:make"
        )
    )
    (project.root / "suites" / "test_live.py").write_text(
        dedent(f"""
            from pathlib import Path


            def test_live():
                Path({str(project.root / "moved")!r}).touch()
                assert False
        """)
    )
    path = f"{project.root}:{project.all_variables()['PYTHONPATH']}"
    done = project.deploygate("watch", "fake", "--once", PYTHONPATH=path)
    assert done.status == 10, done.out
    assert "svc-foreign=100 serves now, but svc-00002=100 was judged" in done.out
    assert project.shares == {"svc-foreign": 100}
