"""What is deployed, as values: the function's settings, its revisions, a snapshot of the service."""

from collections.abc import Mapping
from enum import Enum, unique
from typing import NamedTuple

from pytest_deploygate.core.identifiers import RevisionName, RolloutId
from pytest_deploygate.core.traffic import Traffic

TAG_CANDIDATE = "dg-cand"
"""Tag of the revision that would be promoted (production configuration, no traffic)."""
TAG_VERIFY = "dg-verify"
"""Tag of the candidate's verification revision: the same build with ``verify-environment``."""
TAG_LIVE_VERIFY = "dg-live"
"""Tag of the verification revision of what serves."""
TAG_PREVIOUS = "dg-prev"
"""Tag that keeps the revision before addressable, so that the platform does not collect it."""
TAG_PREVIOUS_VERIFY = "dg-pver"
"""Tag of the verification revision of the revision before."""
TAGS_OF_SERVING = (TAG_LIVE_VERIFY, TAG_PREVIOUS, TAG_PREVIOUS_VERIFY)
"""Those of our tags that describe what serves; they outlive a rollout that is rolled back."""
OWN_TAGS = (TAG_CANDIDATE, TAG_VERIFY, TAG_LIVE_VERIFY, TAG_PREVIOUS, TAG_PREVIOUS_VERIFY)


@unique
class Variant(Enum):
    """Which of the two revisions of one build: VERIFICATION has the ``verify-environment``, CANDIDATE does not."""

    VERIFICATION = "verification"
    CANDIDATE = "candidate"


class AllowedSecret(NamedTuple):
    """A file of the source that may hold what looks like a secret, and why; ``path`` may have ``*`` and ``?``."""

    path: str
    reason: str


class SecretRef(NamedTuple):
    """A secret of the platform's secret store; ``version`` is a number or ``latest``."""

    name: str
    version: str = "latest"
    project: str = ""


class FunctionSpec(NamedTuple):
    """Settings of one Cloud Functions (2nd gen) function in one environment.

    ``memory`` is in the platform's words (``1Gi``), ``timeout_s`` 1..3600, ``source`` an absolute path.
    """

    function: str
    project: str
    region: str
    runtime: str
    entry_point: str
    source: str
    memory: str = "256Mi"
    cpu: str = ""
    timeout_s: int = 60
    public: bool = False
    variables: Mapping[str, str] = {}
    secrets: Mapping[str, SecretRef] = {}
    verify_variables: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    build_variables: Mapping[str, str] = {}
    service_account: str = ""
    build_service_account: str = ""
    build_worker_pool: str = ""
    docker_repository: str = ""
    ingress: str = "ALLOW_ALL"
    min_instances: int | None = None
    max_instances: int | None = None
    concurrency: int | None = None
    vpc_connector: str = ""
    vpc_egress: str = ""

    def variables_of(self, variant: Variant) -> Mapping[str, str]:
        """Environment variables of one of the two revisions."""
        if variant is Variant.VERIFICATION:
            return {**self.variables, **self.verify_variables}
        return dict(self.variables)

    @property
    def has_verification(self) -> bool:
        """Whether a verification revision is made at all."""
        return bool(self.verify_variables)


class RolloutLabels(NamedTuple):
    """What the service itself remembers of rollouts (labels), so that a lost store can be made good.

    ``rollout`` is set while a rollout is under way. ``baseline`` is then the revision to return to, and afterwards
    the revision that was judged good last. ``digest`` and ``config`` identify what ``baseline`` was made from.
    """

    rollout: RolloutId | None = None
    baseline: RevisionName | None = None
    digest: str = ""
    config: str = ""


class RevisionInfo(NamedTuple):
    """One revision as the platform describes it. ``image`` identifies its build."""

    name: RevisionName
    is_ready: bool
    image: str = ""
    variables: Mapping[str, str] = {}
    secrets: Mapping[str, SecretRef] = {}
    created_at: str = ""
    note: str = ""


class Snapshot(NamedTuple):
    """The service as observed at one moment. ``exists`` is False before the first release; then all else is empty.

    ``traffic`` is the plan (it may follow LATEST), ``serving`` the same with LATEST resolved to a revision.
    """

    exists: bool
    service: str = ""
    url: str = ""
    traffic: Traffic = Traffic.of({})
    serving: Traffic = Traffic.of({})
    tag_urls: Mapping[str, str] = {}
    etag: str = ""
    is_settled: bool = True
    """Whether the platform has carried out everything that it was told (nothing reconciling, no deployment)."""
    is_public: bool = False
    latest_ready: RevisionName | None = None
    latest_created: RevisionName | None = None
    rollout_labels: RolloutLabels = RolloutLabels()

    @property
    def baseline(self) -> RevisionName | None:
        """The revision that has all traffic, or None (nothing serves, or traffic is split)."""
        return self.serving.sole

    @property
    def is_marked_good(self) -> bool:
        """Whether the service itself remembers that what has all traffic was judged good."""
        rollout_labels = self.rollout_labels
        return (
            self.baseline is not None
            and rollout_labels.rollout is None
            and rollout_labels.baseline == self.baseline
        )

    def is_release(self, digest: str, config: str) -> bool:
        """Whether what has all traffic was judged good, and came of that source and those settings."""
        rollout_labels = self.rollout_labels
        return (
            self.exists
            and self.is_marked_good
            and (rollout_labels.digest, rollout_labels.config)
            == (digest[:63], config[:63])  # as labels are cut
        )
