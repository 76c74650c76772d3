"""Verification variants in a session: checks reach them, and record, plan and ``show`` tell of them."""

import pytest

from pytest_deploygate.core.identifiers import VariantName
from pytest_deploygate.testing import DeploygateProject

VERIFY = """
    [tool.deploygate.function.environment-variables]
    SHEET = "production"

    [tool.deploygate.function.verify-environment]
    SHEET = "test"
"""
VARIANTS = """
    [tool.deploygate.environments.fake.verify-variants]
    no-sheet = { SHEET = "nobody's" }
    slow = { DELAY = "1" }
"""
USES_VARIANTS = """
    import json
    from pathlib import Path

    def test_subject(verification_variants, deployment):
        told = {
            name: [probe.endpoint.url, probe.endpoint.revision, probe.endpoint.may_write]
            for name, probe in verification_variants.items()
        }
        variables = {name: dict(own) for name, own in deployment.variant_variables.items()}
        Path("told.json").write_text(json.dumps([told, variables]))
"""


def told(project: DeploygateProject) -> tuple[dict[str, list[object]], dict[str, object]]:
    """Clients and variables of the variants, as the check found them."""
    import json

    clients, variables = json.loads((project.root / "told.json").read_text(encoding="utf-8"))
    return clients, variables


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_checks_may_write_through_each_variant_while_a_release_is_judged(
    project: DeploygateProject, workers: int
) -> None:
    project.add_settings(VERIFY)
    project.add_settings(VARIANTS)
    project.write({"gates/cand/test_subject.py": USES_VARIANTS})
    run = project.deploy("-v", workers=workers)
    assert run.status == 0, run.output
    assert run.record is not None
    clients, variables = told(project)
    assert clients == {
        name: [f"https://dg-v-{name}---svc.example", run.record.variants[VariantName(name)], True]
        for name in ("no-sheet", "slow")
    }
    assert variables == {
        "no-sheet": {"SHEET": "nobody's"},
        "slow": {"SHEET": "test", "DELAY": "1"},
    }
    of_variants = [run.record.variants[VariantName(n)] for n in ("no-sheet", "slow")]
    through = f"{run.record.verification} and {of_variants[0]} (variant no-sheet) and"
    assert (
        f"postings: nothing was posted with production settings: checks wrote through {through}"
        in run.out
    )
    shown = project.deploygate("show", "last").out
    assert of_variants[0] in shown
    assert "variant slow differs in" in shown
    assert project.deploygate("show", "last", "--json").json["variants_differ_in"] == {
        "no-sheet": ["SHEET"],
        "slow": ["DELAY", "SHEET"],
    }

    # they are not kept: what serves is judged without them
    again = project.deploy(workers=workers)
    assert again.status == 0, again.output
    assert told(project)[0] == {}


def test_plan_shows_the_tags_of_the_variants(project: DeploygateProject) -> None:
    project.add_settings(VERIFY)
    project.add_settings(VARIANTS)
    plan = project.pytest("--deploy-to=fake", "--deploy-plan")
    assert "dg-v-no-sheet>VARIANT-no-sheet" in plan.out
    assert 'setting: verify-variants = { no-sheet = { SHEET = "nobody\'s" }' in plan.out


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            VERIFY,
            "nothing was posted with production settings: checks wrote through {verification} alone",
        ),
        ("", "checks posted with production settings, through {candidate}"),
    ],
    ids=["with verification", "without"],
)
def test_one_line_says_through_what_checks_wrote(
    project: DeploygateProject, settings: str, said: str
) -> None:
    project.add_settings(settings)
    run = project.deploy("-v")
    assert run.record is not None
    names = {"verification": run.record.verification, "candidate": run.record.candidate}
    assert f"postings: {said.format(**names)}" in run.out
    assert run.record.notes["postings"] == said.format(**names)


def test_without_anything_to_deploy_no_revision_was_staged(project: DeploygateProject) -> None:
    assert project.deploy().status == 0
    assert "postings: no revision was staged" in project.deploy("-v").out
