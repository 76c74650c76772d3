"""Settings of one function: what each of its revisions gets, and how its answers are confirmed."""

from collections.abc import Mapping
from enum import Enum, unique
from typing import Annotated, Final, Literal, NamedTuple

from pytest_deploygate.core.container_spec import ContainerSpec
from pytest_deploygate.core.identifiers import VariantName
from pytest_deploygate.core.secret_ref import SECRET, SecretRef
from pytest_deploygate.core.setting import Place, Setting
from pytest_deploygate.core.units import Memory


@unique
class Variant(Enum):
    """Which revision of one build: VERIFICATION has the ``verify-environment``, CANDIDATE does not."""

    VERIFICATION = "verification"
    CANDIDATE = "candidate"


@unique
class CopyRole(Enum):
    """What a copy of a revision is for: the fresh baseline of a rollout, or its candidate."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"

    @property
    def told(self) -> str:
        """In words, for display."""
        return {"baseline": "fresh baseline", "candidate": "candidate revision"}[self.value]


def _memory(text: str) -> str:
    """Turn what a user may write, such as gcloud's ``1GiB``, into the API's form, ``1Gi``."""
    return Memory.parse(text).api_text


INGRESS: Final[Mapping[str, str]] = {
    "all": "ALLOW_ALL",
    "internal-only": "ALLOW_INTERNAL_ONLY",
    "internal-and-gclb": "ALLOW_INTERNAL_AND_GCLB",
}
"""gcloud's values for ingress, with the platform's values."""
VPC_EGRESS: Final[Mapping[str, str]] = {
    "private-ranges-only": "PRIVATE_RANGES_ONLY",
    "all-traffic": "ALL_TRAFFIC",
}
_SHARED: Final = "tool.deploygate.function"
_REMOTE: Final = ("google", "cloud-run")
_VARIABLES: Final = Setting("", example='{ LOG_LEVEL = "info" }', is_a="a text")
_KEPT: Final = "as it is on the platform"


def secrets_text(secrets: Mapping[str, SecretRef]) -> str:
    """Names and versions of secrets for display, never their values: ``KEY=name:3``."""
    return ",".join(sorted(f"{key}={ref.name}:{ref.version}" for key, ref in secrets.items()))


class ConfirmRequest(NamedTuple):
    """The request that a rollout sends to a URL to learn which revision answers."""

    method: Annotated[
        Literal["GET", "HEAD", "POST", "PUT", "OPTIONS"],
        Setting("method of the request", example='"POST"'),
    ] = "GET"
    path: Annotated[
        str,
        Setting(
            "path and query behind the URL",
            example='"/health"',
            is_a="a path that begins with /",
            pattern="/.*",
        ),
    ] = ""
    body: Annotated[str, Setting("body of the request", example="'{ \"ping\": true }'")] = ""
    expect: Annotated[
        tuple[int, ...],
        Setting(
            "HTTP statuses that count as an answer",
            example="[200, 405]",
            at_least=200,
            at_most=599,
            is_filled=True,
            default="any answer that the function itself gave, whatever its status",
        ),
    ] = ()


class FunctionSpec(NamedTuple):
    """Settings of one Cloud Functions (2nd gen) function in one environment.

    ``memory``, ``ingress`` and ``vpc_egress`` have the platform's values (``1Gi``), ``source`` is an absolute path.
    """

    function: Annotated[
        str,
        Setting(
            "name of the function",
            example='"process_invoice"',
            is_a="the name of a function (letters, digits, - and _, at most 63)",
            pattern="[A-Za-z]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?",
            or_in=_SHARED,
        ),
    ]
    runtime: Annotated[
        str,
        Setting(
            "language and version of the function's runtime",
            example='"python312"',
            is_a="a runtime of Python",
            pattern="python3[0-9]{1,2}",
            unless="image",
            or_in=_SHARED,
        ),
    ]
    entry_point: Annotated[
        str,
        Setting(
            "name of the Python function that answers requests",
            example='"process_invoice"',
            is_a="the name of a Python function",
            pattern="[A-Za-z_][A-Za-z0-9_]*",
            unless="image",
            or_in=_SHARED,
        ),
    ]
    source: Annotated[
        str,
        Setting(
            "directory of the source, relative to the project",
            example='"src/process_invoice"',
            is_filled=True,
            unless="image",
            or_in=_SHARED,
        ),
    ]
    project: Annotated[
        str,
        Setting(
            "id of the Google Cloud project",
            example='"my-project-123"',
            is_a="the id of a Google Cloud project (6 to 30 small letters, digits and -)",
            pattern="[a-z][a-z0-9-]{4,28}[a-z0-9]",
            needed_by=_REMOTE,
            or_in=_SHARED,
        ),
    ] = "local-project"
    region: Annotated[
        str,
        Setting(
            "region that it runs in",
            example='"europe-west1"',
            is_a="a region of Google Cloud",
            pattern="[a-z]+-[a-z]+[0-9]+",
            needed_by=_REMOTE,
            or_in=_SHARED,
        ),
    ] = "us-central1"
    memory: Annotated[
        str,
        Setting(
            "memory of an instance",
            example='"1GiB"',
            is_a="a size of memory with its unit (k, M, G, Ki, Mi, Gi; a B may follow)",
            pattern=r"[0-9]+(\.[0-9]+)?(k|M|G|Ki|Mi|Gi|KiB|MiB|GiB|MB|GB)",
            parse=_memory,
        ),
    ] = "256Mi"
    cpu: Annotated[
        str,
        Setting(
            "processors of an instance",
            example='"1"',
            default="chosen by the platform to fit `memory`",
        ),
    ] = ""
    timeout_s: Annotated[
        int,
        Setting(
            "how long a request may take",
            example="540",
            unit="seconds",
            at_least=1,
            at_most=3600,
        ),
    ] = 60
    public: Annotated[
        bool,
        Setting(
            "whether anyone may call it; only a first release is opened, later ones do not change access",
            example="true",
        ),
    ] = False
    variables: Annotated[
        Mapping[str, str],
        _VARIABLES._replace(
            help="plain environment variables; a value that looks like a secret is refused",
            key="environment-variables",
        ),
    ] = {}
    secrets: Annotated[
        Mapping[str, SecretRef],
        SECRET._replace(
            help='environment variables from Secret Manager, `NAME = "secret:version"`; `latest` is resolved to a '
            "number at deployment and recorded",
            example='{ API_KEY = "api-key:latest" }',
        ),
    ] = {}
    verify_variables: Annotated[
        Mapping[str, str],
        _VARIABLES._replace(
            help="variables that the verification revision has instead; checks may write through that revision",
            key="verify-environment",
            example='{ SHEET_TAB = "TEST" }',
        ),
    ] = {}
    verify_variants: Annotated[
        Mapping[VariantName, Mapping[str, str]],
        Setting(
            "further verification revisions of the same image, by name, each with environment variables instead of "
            "those of `verify-environment`; they exist only while the release is judged",
            example='{ unwritable-sheet = { SHEET_ID = "shared-with-nobody" } }',
            is_a="a text",
            key_pattern="[a-z]([a-z0-9-]*[a-z0-9])?",
        ),
    ] = {}
    allowed_secrets: Annotated[
        Mapping[str, str],
        Setting(
            "files of the source (`*` and `?` allowed) and plain variables (`environment-variables.NAME`) that look "
            "like secrets but are none, each with the reason; the plan shows the reason, the record keeps it",
            example='{ "data/*.json" = "made up for tests" }',
            is_filled=True,
        ),
    ] = {}
    labels: Annotated[
        Mapping[str, str],
        Setting(
            "labels of the function",
            example='{ team = "orders" }',
            is_a="a label (small letters, digits, - and _, at most 63)",
            pattern="[a-z0-9_-]{0,63}",
            key_pattern="[a-z][a-z0-9_-]{0,62}",
        ),
    ] = {}
    build_variables: Annotated[
        Mapping[str, str],
        _VARIABLES._replace(
            help="environment variables of the build", key="build-environment-variables"
        ),
    ] = {}
    service_account: Annotated[
        str,
        Setting(
            "service account that it runs as",
            example='"runner@my-project-123.iam.gserviceaccount.com"',
            default=_KEPT,
        ),
    ] = ""
    build_service_account: Annotated[
        str,
        Setting(
            "service account that builds it",
            example='"builder@my-project-123.iam.gserviceaccount.com"',
            default=_KEPT,
        ),
    ] = ""
    build_worker_pool: Annotated[
        str,
        Setting(
            "worker pool of Cloud Build",
            example='"projects/my-project-123/locations/us-central1/workerPools/pool"',
            default=_KEPT,
        ),
    ] = ""
    docker_repository: Annotated[
        str,
        Setting(
            "repository of Artifact Registry that keeps its images",
            example='"projects/my-project-123/locations/us-central1/repositories/functions"',
            default=f"{_KEPT}; on `cloud-run`, `cloud-run-source-deploy`",
        ),
    ] = ""
    base_image_updates: Annotated[
        str,
        Setting(
            "whether the platform updates the base image of the serving revision by itself; the record says which",
            example='"on-deploy"',
            choices={"automatic": "automatic", "on-deploy": "on-deploy"},
            default=_KEPT,
        ),
    ] = ""
    ingress: Annotated[
        str,
        Setting(
            "which networks may reach it",
            example='"internal-only"',
            choices=INGRESS,
            default=_KEPT,
        ),
    ] = ""
    min_instances: Annotated[
        int | None, Setting("least number of instances", example="1", at_least=0, default=_KEPT)
    ] = None
    max_instances: Annotated[
        int | None, Setting("greatest number of instances", example="10", at_least=1, default=_KEPT)
    ] = None
    concurrency: Annotated[
        int | None,
        Setting(
            "requests that an instance handles at a time",
            example="8",
            at_least=1,
            at_most=1000,
            default=_KEPT,
        ),
    ] = None
    vpc_connector: Annotated[
        str,
        Setting("connector to a VPC network", example='"my-connector"', default=_KEPT),
    ] = ""
    vpc_egress: Annotated[
        str,
        Setting(
            "which requests go through the connector",
            example='"private-ranges-only"',
            choices=VPC_EGRESS,
            default=_KEPT,
        ),
    ] = ""

    container: Annotated[ContainerSpec, Place.INLINE] = ContainerSpec()

    def variables_of(self, variant: Variant | VariantName) -> Mapping[str, str]:
        """Environment variables of one revision of the build."""
        return {**self.variables, **self._test_variables_of(variant)}

    def _test_variables_of(self, variant: Variant | VariantName) -> Mapping[str, str]:
        """Environment variables that a revision gets besides those of production."""
        if variant is Variant.CANDIDATE:
            return {}
        own = {} if isinstance(variant, Variant) else self.verify_variants[variant]
        return {**self.verify_variables, **own}

    def differences_of(self, variant: Variant | VariantName) -> Mapping[str, str]:
        """Variables of a revision that differ from production."""
        production = self.variables
        return {k: v for k, v in self.variables_of(variant).items() if production.get(k) != v}

    def changes_to(
        self, variant: Variant | VariantName, now: Mapping[str, str]
    ) -> Mapping[str, str | None]:
        """Changes to the variables ``now`` of a revision of the build; None removes one."""
        if variant is not Variant.CANDIDATE:
            return dict(self._test_variables_of(variant))
        if not self.is_of_verification(now):
            return {}
        names = {name for one in self._verifying for name in self._test_variables_of(one)}
        return {name: self.variables.get(name) for name in names}

    def is_of_verification(self, variables: Mapping[str, str]) -> bool:
        """Whether ``variables`` are those of a verification revision or a variant, not of production."""
        return any(
            bool(own) and all(variables.get(name) == value for name, value in own.items())
            for own in map(self.differences_of, self._verifying)
        )

    @property
    def _verifying(self) -> tuple[Variant | VariantName, ...]:
        return (Variant.VERIFICATION, *self.verify_variants)

    @property
    def build_account(self) -> str:
        """Full name of the service account that builds; empty where the settings name none."""
        name = self.build_service_account
        if not name or name.startswith("projects/"):
            return name
        return f"projects/{self.project}/serviceAccounts/{name}"

    @property
    def has_verification(self) -> bool:
        """Whether a rollout creates a verification revision."""
        return bool(self.verify_variables)


PLAIN_VARIABLES: Final = ("variables", "verify_variables", "build_variables")
"""Fields of a FunctionSpec with plain variables, which everybody may read."""
