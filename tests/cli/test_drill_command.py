"""``deploygate drill``: the rollback of what serves is tried, and what serves stays."""

from tests.cli.cli_project import CliProject


def test_drill_says_whether_a_rollback_would_work_and_moves_nothing(project: CliProject) -> None:
    before = project.shares
    done = project.deploygate("drill", "fake")
    assert done.status == 0, done.output
    assert "a rollback to svc-00001 works" in done.out
    assert "no traffic moved" in done.out
    assert done.shares == before == {"svc-00002": 100}
    found = project.deploygate("drill", "fake", "--json").json
    assert (found["holds"], found["to_revision"], found["serving"]) == (
        True,
        "svc-00001",
        "svc-00002",
    )
    assert isinstance(found["drill_seconds"], float)
    record = project.last_rollout()
    assert record is not None
    assert (record.purpose, record.serving) == ("drill", "svc-00002")
    assert [event["state"] for event in project.events("rollback.drilled")] == ["ROLLED_BACK"] * 2
    # it is no verdict: the next release finds what serves as good as before, and can be rolled back
    assert project.release("v3").status == 0
    back = project.deploygate("rollback", "fake", "--reason", "orders without prices", "--yes")
    assert (back.status, back.serving) == (0, "svc-00002"), back.output


def test_drill_fails_where_the_revision_could_not_serve(project: CliProject) -> None:
    with project.cloud() as cloud:
        assert cloud.service is not None
        first, *_ = cloud.service.revisions
        cloud.service.revisions[first] = cloud.service.revisions[first]._replace(digest="")
    done = project.deploygate("drill", "fake")
    assert (done.status, done.serving) == (1, "svc-00002")
    assert "would fail: the rollback drill failed: the platform does not tell by digest" in done.out


def test_drill_needs_something_to_return_to(new: CliProject) -> None:
    assert new.deploygate("drill", "fake").status == 10
    assert new.release("v1").status == 0
    done = new.deploygate("drill", "fake")
    assert done.status == 10
    assert "no revision besides the one that serves is known to be good" in done.err


def test_drill_waits_for_nobody(project: CliProject) -> None:
    holder = project.hold_lease()
    try:
        done = project.deploygate("drill", "fake")
    finally:
        holder.close()
    assert done.status == 10
    assert "is held by" in done.err
