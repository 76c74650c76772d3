"""recover, unlock, adopt: an environment is brought in order, and the history says by whom."""

import sys

import pexpect

from pytest_deploygate.core.release import RolloutLabels
from tests.cli.cli_project import CliProject


def test_recover_with_nothing_open_does_nothing(project: CliProject) -> None:
    done = project.deploygate("recover", "fake")
    assert done.status == 0
    assert "nothing was open" in done.out
    assert project.shares == {"svc-00002": 100}


def test_recover_settles_what_a_dead_process_left(project: CliProject) -> None:
    holder = project.hold_lease()
    living = project.deploygate("recover", "fake")
    assert living.status == 10
    assert "is held by" in living.err
    holder.kill()
    holder.communicate()
    done = project.deploygate("recover", "fake", "--json")
    assert done.status == 0, done.err
    recovered = done.json["recovered"]
    assert isinstance(recovered, list)
    assert [(one["found"], one["state"]) for one in recovered] == [("OPEN", "REFUSED")]
    assert project.deploygate("recover", "fake", "--json").json["recovered"] == []


def test_unlock_is_recorded_and_asks_before_it_harms_the_living(project: CliProject) -> None:
    holder = project.hold_lease()
    try:
        assert project.deploygate("unlock", "fake", "--reason", "runner reinstalled").status == 4
        lease = project.deploygate("status", "--json").json["lease"]
        assert isinstance(lease, dict)
        assert lease["lives"] is True
        done = project.deploygate("unlock", "fake", "--reason", "runner reinstalled", "--yes")
        assert done.status == 0
        assert "now: deploygate recover fake" in done.out
    finally:
        holder.kill()
        holder.communicate()
    history = project.deploygate("history", "fake")
    assert "leases taken away" in history.out
    assert "runner reinstalled" in history.out


def test_unlock_where_nobody_holds_the_lease_says_so(project: CliProject) -> None:
    done = project.deploygate("unlock", "fake", "--reason", "x", "--json")
    assert done.status == 0
    assert done.json["was_held"] is False


def test_adopt_lets_what_a_person_deployed_be_a_baseline(project: CliProject) -> None:
    with project.cloud() as cloud:
        cloud.human_moves()
        cloud.write("human", cloud.existing().traffic, RolloutLabels())
    refused = project.release("v3")
    assert refused.status == 10
    assert "was never verified by deploygate" in refused.out
    assert "deploygate adopt fake svc-foreign" in refused.out
    done = project.deploygate(
        "adopt", "fake", "svc-foreign", "--reason", "hotfix by hand", "--json"
    )
    assert done.status == 0, done.err
    assert done.json["serves"] is True
    with project.cloud() as cloud:
        assert cloud.peek().rollout_labels.baseline == "svc-foreign"
    assert project.deploygate("status", "--json").json["is_judged_good"] is True
    (event,) = project.events("revision.adopted")
    assert event["reason"] == "hotfix by hand"
    assert project.release("v3").status == 0


def test_adopt_names_a_revision_that_exists(project: CliProject) -> None:
    done = project.deploygate("adopt", "fake", "svc-00009", "--reason", "x")
    assert done.status == 10
    assert "does not exist" in done.err


def test_adopting_what_serves_closes_what_was_stranded(project: CliProject) -> None:
    with project.cloud() as cloud:
        cloud.is_answering = False
    assert project.deploygate("rollback", "fake", "--reason", "x", "--yes").status == 11
    with project.cloud() as cloud:
        cloud.is_answering = True
        cloud.human_moves()
    assert project.deploygate("recover", "fake").status == 11, "somebody moved the traffic"
    assert project.shares == {"svc-foreign": 100}
    done = project.deploygate(
        "adopt", "fake", "svc-foreign", "--reason", "this one shall stay", "--json"
    )
    assert done.status == 0, done.err
    assert project.deploygate("status").status == 0
    assert project.deploygate("recover", "fake").status == 0
    assert project.shares == {"svc-foreign": 100}


def test_adopt_refuses_and_quotes_what_a_rollout_judged_bad(project: CliProject) -> None:
    back = project.deploygate("rollback", "fake", "--reason", "no prices", "--yes", "--json")
    assert back.status == 0, back.err
    refused = project.deploygate("adopt", "fake", "svc-00002", "--reason", "it was the sheet")
    assert refused.status == 1
    rollout = back.json["rollout_id"]
    assert f"svc-00002 was judged bad by rollout {rollout}: no prices" in refused.err
    assert f"--even-though {rollout}" in refused.err
    done = project.deploygate(
        "adopt", "fake", "svc-00002", "--reason", "it was the sheet", "--even-though", str(rollout)
    )
    assert done.status == 0, done.err


def test_adopt_asks_whoever_sits_at_a_terminal(project: CliProject) -> None:
    assert project.deploygate("rollback", "fake", "--reason", "no prices", "--yes").status == 0
    for answer, status in (("n", 1), ("y", 0)):
        terminal = pexpect.spawn(
            sys.executable,
            ["-m", "pytest_deploygate.cli", "adopt", "fake", "svc-00002", "--reason", "the sheet"],
            cwd=str(project.root),
            env=project.all_variables(),
            encoding="utf-8",
            timeout=60,
        )
        terminal.expect("was judged bad by rollout .*no prices")
        terminal.expect("Adopt it even so")
        terminal.sendline(answer)
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == status
