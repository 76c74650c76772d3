"""rollback: where to, where never, and that the person on call learns what became of it."""

import contextlib
import sqlite3

import pytest

from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.release import RevisionInfo
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.testing.sessions import LIMIT_S
from tests.cli.cli_project import CliProject

BAD = ("rollback", "fake", "--reason", "orders without prices", "--yes")


def test_rollback_returns_the_traffic_and_checks_it(project: CliProject) -> None:
    done = project.deploygate(*BAD, "--json")
    assert done.status == 0, done.err
    assert project.shares == {"svc-00001": 100}
    found = done.json
    assert found["rollback_successful"] is True
    assert found["rollback_reason"] == "orders without prices"
    assert found["to_revision"] == "svc-00001"
    assert found["from_revisions"] == ["svc-00002"]
    validation = found["post_rollback_validation"]
    assert isinstance(validation, dict)
    assert validation["verdict"] == "KEEP"
    (event,) = project.events("rollback.completed")
    assert event["correlation_id"] == found["rollout_id"]
    assert event["rollback_successful"] is True
    assert event["rollback_reason"] == "orders without prices"
    newest = project.deploygate("history", "--limit", "1").out
    assert "ROLLED_BACK" in newest
    assert "orders without prices" in newest


def test_rollback_says_when_the_checks_of_what_then_serves_do_not_hold(project: CliProject) -> None:
    project.say("live", "bad")
    done = project.deploygate(*BAD)
    assert done.status == 1
    assert "ROLL_BACK: gate live failed" in done.out
    assert "the traffic is back, but what serves now does not hold either" in done.out
    assert project.shares == {"svc-00001": 100}, "checks after a rollback never act"


@pytest.mark.full
def test_release_that_was_rolled_back_needs_a_reason_to_be_staged_again(
    project: CliProject,
) -> None:
    assert project.deploygate(*BAD).status == 0
    again = project.release("v2")
    assert again.status == 1
    assert "this very release was rolled back before" in again.out
    assert project.shares == {"svc-00001": 100}
    assert project.release("v2", "--deploy-reason=the sheet was at fault").status == 0


@pytest.mark.full
def test_release_that_rollback_checks_rolled_back_needs_a_reason_too(project: CliProject) -> None:
    project.say("live", "bad")
    checked = project.pytest("-m", "rollback-checks")
    assert checked.status == 1
    assert project.shares == {"svc-00001": 100}
    project.say("live", "good")
    assert "this very release was rolled back before" in project.release("v2").out


def test_rollback_never_goes_to_a_revision_that_was_rolled_back(project: CliProject) -> None:
    assert project.deploygate(*BAD).status == 0
    done = project.deploygate("rollback", "fake", "--to", "svc-00002", "--reason", "x", "--yes")
    assert done.status == 10
    assert "svc-00002 was rolled back before" in done.err
    assert project.shares == {"svc-00001": 100}


@pytest.mark.full
def test_rollback_never_goes_to_a_candidate_that_failed_its_gates(project: CliProject) -> None:
    project.say("health", "bad")
    assert project.release("v3").status == 1
    done = project.deploygate("rollback", "fake", "--to", "svc-00003", "--reason", "x", "--yes")
    assert done.status == 10
    assert "was rolled back before" in done.err


def test_rollback_goes_to_a_revision_that_nobody_judged_only_when_adopted(
    project: CliProject,
) -> None:
    with project.cloud() as cloud:
        cloud.write("human", cloud.serving(), None)  # by name, so that a new one gets no traffic
        cloud.begin(image="theirs", variables={}, rollout_labels=cloud.existing().rollout_labels)
        cloud.finish_operations()
    by_name = ("rollback", "fake", "--to", "svc-00003", "--reason", "x", "--yes")
    done = project.deploygate(*by_name)
    assert done.status == 10
    assert "revision svc-00003 was never verified by deploygate" in done.err
    assert project.deploygate("adopt", "fake", "svc-00003", "--reason", "looked at it").status == 0
    assert project.deploygate(*by_name).status == 0
    assert project.shares == {"svc-00003": 100}


@pytest.mark.parametrize(
    ("to", "said"), [("svc-00009", "does not exist"), ("svc-00002", "already serves all traffic")]
)
def test_rollback_refuses_a_revision_that_cannot_be_returned_to(
    project: CliProject, to: str, said: str
) -> None:
    done = project.deploygate("rollback", "fake", "--to", to, "--reason", "x", "--yes")
    assert done.status == 10
    assert said in done.err


def test_rollback_with_nobody_to_ask_needs_yes(project: CliProject) -> None:
    done = project.deploygate("rollback", "fake", "--reason", "x")
    assert done.status == 4
    assert "add --yes" in done.err
    assert project.shares == {"svc-00002": 100}


@pytest.mark.full
def test_rollback_ends_a_split_of_traffic(project: CliProject) -> None:
    with project.cloud() as cloud:
        shares = {RevisionName("svc-00001"): 50, RevisionName("svc-00002"): 50}
        cloud.write("human", Traffic.of(shares), None)
    done = project.deploygate(
        "rollback", "fake", "--to", "svc-00001", "--reason", "end the split", "--yes"
    )
    assert done.status == 0, done.err
    assert project.shares == {"svc-00001": 100}


def loses_the_first(project: CliProject) -> RevisionInfo:
    """The platform loses the first release, and a rollback has the time that a build takes."""
    settings = project.root / "pyproject.toml"
    text = settings.read_text()
    settings.write_text(text.replace("rollback-budget-s = 2\n", ""))
    with project.cloud() as cloud:
        lost = cloud.existing().revisions[RevisionName("svc-00001")]
        cloud.human_deletes(RevisionName("svc-00001"))
    return lost


def test_rollback_to_a_backup_redeploys_what_the_platform_lost(project: CliProject) -> None:
    lost = loses_the_first(project)
    assert project.deploygate(*BAD).status == 10
    assert project.deploygate(*BAD, "--to-backup", "nonsense").status == 10
    done = project.deploygate(*BAD, "--to-backup", "backup-svc-00001")
    assert done.status == 0, done.err
    with project.cloud() as cloud:
        assert cloud.serving().sole not in {None, lost.name, "svc-00002"}
        assert cloud.images_serving() == {lost.digest}


@pytest.mark.parametrize("at", ["observed begin_backup", "intent await_backup"])
def test_rollback_that_is_killed_while_it_redeploys_is_settled_with_the_same_build(
    project: CliProject, at: str
) -> None:
    lost = loses_the_first(project)
    striking = {
        "DEPLOYGATE_STATE": "tests.e2e.killing_store:make",
        "KILL_AT": f"after:append {at} ROLLING_BACK",
        "KILLED": str(project.root / "killed"),
    }
    assert project.deploygate(*BAD, "--to-backup", "backup-svc-00001", **striking).status == -9
    assert project.shares == {"svc-00002": 100}, "nothing moves before it is ready"
    settled = project.deploygate("recover", "fake", "--json")
    assert settled.status == 0, settled.err
    assert "died while it was ROLLING_BACK" in settled.out
    with project.cloud() as cloud:
        assert cloud.images_serving() == {lost.digest}
        builds = [one for one in cloud.operations.values() if one.image == lost.digest]
        assert len(builds) == 2, "the first release, and one redeployment"
    assert project.deploygate("recover", "fake", "--json").json["recovered"] == []


def test_rollback_waits_for_nobody_who_lives(project: CliProject) -> None:
    holder = project.hold_lease()
    try:
        done = project.deploygate(*BAD)
        assert done.status == 10
        assert "is held by" in done.err
        assert project.shares == {"svc-00002": 100}
    finally:
        holder.kill()
        holder.communicate()


def test_emergency_takes_the_lease_away_and_closes_what_is_open(project: CliProject) -> None:
    holder = project.hold_lease()
    try:
        done = project.deploygate(*BAD, "--emergency", "--json")
    finally:
        holder.kill()
        holder.communicate()
    assert done.status == 0, done.err
    assert project.shares == {"svc-00001": 100}
    superseded = done.json["superseded"]
    assert isinstance(superseded, list)
    assert len(superseded) == 1
    status = project.deploygate("status", "--json").json
    assert status["open_rollouts"] == []
    assert status["lease"] is None
    events = project.deploygate("history", "--json").json["lease_events"]
    assert isinstance(events, list)
    assert events[0]["kind"] == "broken"
    assert events[0]["reason"] == "emergency rollback: orders without prices"


def test_emergency_works_without_the_record(project: CliProject) -> None:
    (project.root / ".deploygate" / "state.db").write_bytes(b"not a database" * 100)
    done = project.deploygate(*BAD)
    assert done.status == 10, "without --emergency a record is needed"
    assert project.shares == {"svc-00002": 100}
    done = project.deploygate(*BAD, "--emergency")
    assert project.shares == {"svc-00001": 100}
    assert "so none is kept" in done.err
    assert "lost: nothing was recorded" in done.out
    assert "KEEP: " in done.out, "what serves can be judged without a record"
    assert done.status == 0


@pytest.mark.full
def test_emergency_works_while_the_record_cannot_be_written(project: CliProject) -> None:
    database = sqlite3.connect(project.root / ".deploygate" / "state.db", isolation_level=None)
    with contextlib.closing(database):
        database.execute("BEGIN EXCLUSIVE")
        assert project.deploygate(*BAD).status == 10, "without --emergency a record is needed"
        done = project.deploygate(*BAD, "--emergency", "--json")
        database.execute("ROLLBACK")
    assert done.status == 0, done.err
    assert project.shares == {"svc-00001": 100}
    assert done.json["record"] == "lost"


@pytest.mark.full
def test_release_that_was_left_without_a_record_is_no_rollback_target_by_itself(
    project: CliProject,
) -> None:
    place = project.root / ".deploygate" / "state.db"
    record = place.read_bytes()
    place.write_bytes(b"not a database" * 100)
    assert project.deploygate(*BAD, "--emergency").status == 0
    for path in place.parent.glob("state.db*"):
        path.unlink()
    place.write_bytes(record)
    again = project.deploygate(*BAD)
    assert again.status == 10, "the record still says that svc-00002 is good"
    assert "svc-00002 was rolled back without a record" in again.err
    assert project.shares == {"svc-00001": 100}
    assert project.deploygate(*BAD, "--to", "svc-00002").status == 0, "a person may say so"


def test_rollback_goes_on_when_nobody_listens_any_more(project: CliProject) -> None:
    process = project.popen(*project.command("deploygate", *BAD))
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    process.wait(LIMIT_S)
    assert project.shares == {"svc-00001": 100}
    assert project.deploygate("status", "--json").json["open_rollouts"] == []


@pytest.mark.full
def test_emergency_works_when_the_record_is_gone(project: CliProject) -> None:
    (project.root / ".deploygate" / "state.db").unlink()
    done = project.deploygate(*BAD, "--emergency")
    assert done.status == 0, done.err
    assert project.shares == {"svc-00001": 100}


@pytest.mark.full
def test_emergency_goes_where_a_person_says(project: CliProject) -> None:
    assert project.deploygate(*BAD).status == 0
    done = project.deploygate(*BAD, "--emergency", "--to", "svc-00002")
    assert done.status == 0, done.err
    assert project.shares == {"svc-00002": 100}


@pytest.mark.full
def test_rollback_that_cannot_be_verified_is_stranded_until_it_can(project: CliProject) -> None:
    with project.cloud() as cloud:
        cloud.is_answering = False
    done = project.deploygate(*BAD)
    assert done.status == 11
    assert "STRANDED" in done.out
    assert "an operator must look" in done.out
    assert project.deploygate("status").status == 11
    (event,) = project.events("rollback.failed")
    assert event["rollback_successful"] is False
    assert event["rollback_reason"] == "orders without prices"

    with project.cloud() as cloud:
        cloud.is_answering = True
    recovered = project.deploygate("recover", "fake", "--json")
    assert recovered.status == 0, recovered.err
    assert recovered.json["serving"] == {"svc-00001": 100}
    assert project.deploygate("status").status == 0
    last = project.deploygate("show", "last", "--json").json["rollout"]
    assert isinstance(last, dict)
    assert (last["reason"], last["reason_code"]) == ("orders without prices", "requested")
    assert "this very release was rolled back before" in project.release("v2").out


@pytest.mark.full
def test_rollback_by_name_decides_what_a_stranded_rollout_left_open(project: CliProject) -> None:
    with project.cloud() as cloud:
        cloud.is_answering = False
    assert project.deploygate(*BAD).status == 11
    with project.cloud() as cloud:
        cloud.is_answering = True
        cloud.human_moves()
    undecided = project.deploygate(*BAD)
    assert undecided.status == 1
    assert "say what shall serve" in undecided.err
    done = project.deploygate("rollback", "fake", "--to", "svc-00001", "--reason", "back", "--yes")
    assert done.status == 0, done.err
    assert project.shares == {"svc-00001": 100}
    assert project.deploygate("status").status == 0


def test_named_revision_gets_the_traffic_before_anything_is_settled(project: CliProject) -> None:
    """A rollout whose process died is closed afterwards: visitors do not wait for its recovery."""
    holder = project.hold_lease()
    holder.kill()
    holder.communicate()
    done = project.deploygate(
        "rollback", "fake", "--to", "svc-00001", "--reason", "no prices", "--yes", "--json"
    )
    assert done.status == 0, done.err
    assert project.shares == {"svc-00001": 100}
    assert done.json["recovered"] == []
    superseded = done.json["superseded"]
    assert isinstance(superseded, list)
    assert len(superseded) == 1
    assert "took the lease away from" in done.err
    waited, took = done.json["waited_seconds"], done.json["rollback_duration_seconds"]
    assert isinstance(waited, float)
    assert isinstance(took, float)
    assert waited >= took
    assert project.deploygate("status", "--json").json["open_rollouts"] == []


def test_named_revision_waits_for_a_living_rollout(project: CliProject) -> None:
    holder = project.hold_lease()
    try:
        done = project.deploygate(
            "rollback", "fake", "--to", "svc-00001", "--reason", "no prices", "--yes"
        )
    finally:
        holder.kill()
        holder.communicate()
    assert done.status == 10
    assert "is held by" in done.err
    assert project.shares == {"svc-00002": 100}
