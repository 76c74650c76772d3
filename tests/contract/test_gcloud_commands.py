"""The equivalent gcloud commands: word by word as people know them, and safe to paste into a shell."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_deploygate.config.settings import load
from pytest_deploygate.core.function_spec import Variant
from pytest_deploygate.core.identifiers import RevisionName, VariantName
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.core.traffic import LATEST, Traffic
from pytest_deploygate.targets import gcloud_commands, gcloud_words

REPOSITORY = Path(__file__).parents[2]
PRODUCTION = load(REPOSITORY).environment("production").spec
"""Production as pyproject.toml has it: what is printed must be what was typed by hand for it."""
HERE = Path("/srv/checkout")
SPEC = PRODUCTION._replace(source=str(HERE), verify_variables={}, verify_variants={})

AS_TYPED_BY_HAND = r"""
gcloud functions deploy process_invoice \
            --gen2 \
            --runtime python312 \
            --trigger-http \
            --allow-unauthenticated \
            --memory=1GiB \
            --timeout=540s \
            --region=us-central1 \
            --entry-point=process_invoice \
            --source=. \
            --set-env-vars="GOOGLE_CLOUD_PROJECT_ID=freckled-hen-analytics,DOCUMENT_AI_PROCESSOR_ID=be53c6e3a199a473,GOOGLE_CLOUD_LOCATION=us,GOOGLE_SHEETS_SPREADSHEET_ID=1PdnZGPZwAV6AHXEeByhOlaEeGObxYWppwLcq0gdvs0E,GOOGLE_SHEETS_SHEET_NAME=Update 20230525" \
            --set-secrets="GEMINI_API_KEY=gemini-api-key:latest"
"""  # noqa: E501 - as people have it in their notes


def words(command: str) -> list[list[str]]:
    """The arguments of each call of gcloud, as a real shell passes them."""
    bash = shutil.which("bash")
    assert bash is not None
    script = f"gcloud() {{ printf '%s\\0' \"$@\" CALL; }}\n{command}\n"
    shown = subprocess.run(
        [bash, "-euc", script], check=True, capture_output=True, text=True
    ).stdout
    calls = [call.split("\0")[:-1] for call in shown.split("CALL\0")]
    return [call for call in calls if call]


def served(traffic: Traffic) -> Snapshot:
    serving = Traffic.of({RevisionName("process-invoice-00001-abc"): 100})
    return Snapshot(
        exists=True,
        service="projects/p/locations/us-central1/services/process-invoice",
        traffic=traffic,
        serving=serving,
    )


def test_production_is_deployed_by_the_command_that_was_typed_by_hand() -> None:
    made = gcloud_commands.deploy(PRODUCTION, cwd=Path(PRODUCTION.source))
    assert words(made) == words(AS_TYPED_BY_HAND)
    assert shlex.split(made.replace("\\\n", "")) == ["gcloud", *words(AS_TYPED_BY_HAND)[0]]
    # the same words in the same lines, but for the quotes that a value does not need
    lines = [" ".join(shlex.split(line.rstrip("\\"))) for line in made.splitlines()]
    typed = AS_TYPED_BY_HAND.strip().splitlines()
    assert lines == [" ".join(shlex.split(line.rstrip("\\"))) for line in typed]


def test_deploy_names_everything_that_the_settings_name() -> None:
    spec = SPEC._replace(
        public=False,
        cpu="2",
        service_account="runner@p.iam.gserviceaccount.com",
        ingress="ALLOW_INTERNAL_ONLY",
        min_instances=0,
        max_instances=7,
        concurrency=3,
        vpc_connector="projects/p/locations/r/connectors/c",
        vpc_egress="PRIVATE_RANGES_ONLY",
        labels={"team": "billing"},
        build_variables={"GOOGLE_PYTHON_VERSION": "3.12"},
        build_service_account="build@p.iam.gserviceaccount.com",
        build_worker_pool="projects/p/locations/r/workerPools/w",
        docker_repository="projects/p/locations/r/repositories/x",
        secrets={
            "A": SecretRef(name="a", version="3"),
            "B": SecretRef(name="b", project="other"),
        },
    )
    account = "projects/freckled-hen-analytics/serviceAccounts/build@p.iam.gserviceaccount.com"
    [made] = words(gcloud_commands.deploy(spec, cwd=HERE))
    assert made[-14:] == [
        "--set-secrets=A=a:3,B=projects/other/secrets/b:latest",
        "--cpu=2",
        "--service-account=runner@p.iam.gserviceaccount.com",
        "--ingress-settings=internal-only",
        "--min-instances=0",
        "--max-instances=7",
        "--concurrency=3",
        "--vpc-connector=projects/p/locations/r/connectors/c",
        "--egress-settings=private-ranges-only",
        "--update-labels=team=billing",
        "--set-build-env-vars=GOOGLE_PYTHON_VERSION=3.12",
        f"--build-service-account={account}",
        "--build-worker-pool=projects/p/locations/r/workerPools/w",
        "--docker-repository=projects/p/locations/r/repositories/x",
    ]
    assert "--no-allow-unauthenticated" in made


@pytest.mark.parametrize(
    ("memory", "shown"),
    [
        ("1Gi", "1GiB"),
        ("256M", "256MB"),
        ("512Mi", "512MiB"),
        ("2G", "2GB"),
        ("536870912", "512MiB"),
    ],
)
def test_memory_is_written_as_gcloud_does(memory: str, shown: str) -> None:
    [made] = words(gcloud_commands.deploy(SPEC._replace(memory=memory), cwd=HERE))
    assert f"--memory={shown}" in made


@pytest.mark.parametrize(
    ("source", "shown"),
    [(HERE, "."), (HERE / "a b", "a b"), (Path("/elsewhere/x"), "/elsewhere/x")],
)
def test_source_is_relative_to_where_it_is_pasted(source: Path, shown: str) -> None:
    [made] = words(gcloud_commands.deploy(SPEC._replace(source=str(source)), cwd=HERE))
    assert f"--source={shown}" in made


def read_as_gcloud(text: str) -> dict[str, str]:
    """What gcloud makes of a list of pairs (``gcloud topic escaping``)."""
    delimiter = ","
    if text.startswith("^"):
        _, delimiter, text = text.split("^", 2)
    return dict(pair.split("=", 1) for pair in text.split(delimiter)) if text else {}


keys = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True)
values = st.text(st.sampled_from("ab ,^:;#@%~|+='\"$`\\!*\n"), max_size=12)


@given(st.dictionaries(keys, values, max_size=4))
def test_pairs_are_read_back_as_they_were(pairs: dict[str, str]) -> None:
    assert read_as_gcloud(gcloud_words.join_pairs(pairs)) == pairs


@pytest.mark.parametrize(
    "value", ["a,b", "it's", 'say "x"', "$HOME `id` $(id)", "a\nb", "back\\slash", "!!", "~/x"]
)
def test_values_survive_the_shell(value: str) -> None:
    spec = SPEC._replace(variables={"A": value, "B": "2"})
    [made] = words(gcloud_commands.deploy(spec, cwd=HERE))
    [given_to_gcloud] = [w.partition("=")[2] for w in made if w.startswith("--set-env-vars=")]
    assert read_as_gcloud(given_to_gcloud) == {"A": value, "B": "2"}


def test_the_rollout_pins_first_and_ends_with_the_rollback_target() -> None:
    spec = SPEC._replace(verify_variables={"GOOGLE_SHEETS_SHEET_NAME": "Staging"})
    made = gcloud_commands.commands(spec, served(Traffic.of({LATEST: 100})), cwd=HERE)
    calls = words("\n".join(made).replace("$(gcloud", "$(printf NEW; gcloud >/dev/null"))
    kinds = [" ".join(call[:3]) for call in calls]
    assert kinds == [
        "run services update-traffic",
        "functions deploy process_invoice",
        "run services update",
        "run services update-traffic",
        "run services update",
        "run services update-traffic",
        "run services update-traffic",
        "run services update-traffic",
        "run services update-traffic",
    ]
    assert "--to-revisions=process-invoice-00001-abc=100" in calls[0]
    assert calls[1] == words(AS_TYPED_BY_HAND)[0]
    assert "--image=NEW" in calls[2]
    assert any("SHEET_NAME=Staging" in word for word in calls[2])
    assert "--update-tags=dg-verify=NEW" in calls[3]
    assert "--image=NEW" in calls[4]
    assert not any("Staging" in word for word in calls[4])
    assert "--update-tags=dg-cand=NEW" in calls[5]
    assert "--to-revisions=NEW=100" in calls[6]
    assert "--to-latest" in calls[7]
    assert "--to-revisions=process-invoice-00001-abc=100" in calls[8]


def test_each_variant_gets_its_revision_and_tag_and_the_candidate_comes_last() -> None:
    spec = SPEC._replace(
        verify_variables={"GOOGLE_SHEETS_SHEET_NAME": "Staging"},
        verify_variants={
            VariantName("no-sheet"): {"GOOGLE_SHEETS_SHEET_NAME": "None"},
            VariantName("slow"): {"DELAY": "1"},
        },
    )
    made = gcloud_commands.commands(spec, served(Traffic.of({LATEST: 100})), cwd=HERE)
    calls = words("\n".join(made).replace("$(gcloud", "$(printf NEW; gcloud >/dev/null"))
    template, tagged = dict(spec.variables), {}
    for call in calls:
        if call[:3] == ["run", "services", "update"]:
            assert "--image=NEW" in call
            for word in call:
                flag, _, value = word.partition("=")
                if flag == "--update-env-vars":
                    template |= read_as_gcloud(value)
                elif flag == "--remove-env-vars":
                    template = {k: v for k, v in template.items() if k not in value.split(",")}
        for word in call:
            if word.startswith("--update-tags="):
                tagged[word.partition("=")[2].partition("=")[0]] = dict(template)
    assert tagged == {
        "dg-verify": spec.variables_of(Variant.VERIFICATION),
        "dg-v-no-sheet": spec.variables_of(VariantName("no-sheet")),
        "dg-v-slow": spec.variables_of(VariantName("slow")),
        "dg-cand": spec.variables,
    }
    assert list(tagged)[-1] == "dg-cand"


def test_the_traffic_moves_in_the_steps_of_the_environment() -> None:
    before = served(Traffic.of({LATEST: 100}))
    made = gcloud_commands.commands(SPEC, before, steps=(10, 50, 100), cwd=HERE)
    calls = words("\n".join(made).replace("$(gcloud", "$(printf NEW; gcloud >/dev/null"))
    moved = [w.partition("=")[2] for call in calls for w in call if w.startswith("--to-revisions")]
    assert moved == [
        "process-invoice-00001-abc=100",
        "NEW=10,process-invoice-00001-abc=90",
        "NEW=50,process-invoice-00001-abc=50",
        "NEW=100",
        "process-invoice-00001-abc=100",
    ]
    assert any(command.startswith("# promote: 50 % to the candidate\n") for command in made)


def test_a_first_release_has_nothing_to_share_the_traffic_with() -> None:
    made = gcloud_commands.commands(SPEC, Snapshot(exists=False), steps=(10, 100), cwd=HERE)
    (promote,) = [command for command in made if "--to-revisions" in command]
    assert promote.startswith("# promote\n")
    assert promote.endswith('--to-revisions="$CANDIDATE=100"')


def test_a_first_release_is_private_until_it_is_opened() -> None:
    made = gcloud_commands.commands(SPEC, Snapshot(exists=False), cwd=HERE)
    calls = words("\n".join(made).replace("$(gcloud", "$(printf NEW; gcloud >/dev/null"))
    assert "--no-allow-unauthenticated" in calls[0]
    assert calls[-2][2] == "add-iam-policy-binding"
    assert calls[-1][:3] == ["functions", "delete", "process_invoice"]


def test_the_project_is_set_for_all_commands() -> None:
    assert gcloud_commands.commands(SPEC, None, cwd=HERE)[0] == (
        "export CLOUDSDK_CORE_PROJECT=freckled-hen-analytics"
    )


def test_a_pinned_service_stays_pinned() -> None:
    pinned = served(Traffic.of({RevisionName("process-invoice-00001-abc"): 100}))
    assert "--to-latest" not in "\n".join(gcloud_commands.commands(SPEC, pinned, cwd=HERE))
