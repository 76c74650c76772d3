"""The deployed service as observed: its labels, its revisions, a snapshot."""

from collections.abc import Mapping
from typing import NamedTuple

from pytest_deploygate.core.identifiers import RevisionName, RolloutId
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.core.traffic import Traffic


class RolloutLabels(NamedTuple):
    """The labels of the service, from which a rollback or a recovery works without the store (ADR 4).

    ``rollout`` is set while a rollout is under way. ``baseline`` is then the revision to return to, and afterwards the
    last revision that was judged good. ``digest`` and ``config`` identify source and settings of ``baseline``.
    """

    rollout: RolloutId | None = None
    baseline: RevisionName | None = None
    digest: str = ""
    config: str = ""


class RevisionInfo(NamedTuple):
    """One revision as the platform describes it.

    ``image`` is the deployed image, perhaps a tag that each build overwrites (ADR 22); ``digest`` identifies the build
    (``sha256:...``), empty if the platform does not give it.
    """

    name: RevisionName
    is_ready: bool
    image: str = ""
    digest: str = ""
    variables: Mapping[str, str] = {}
    secrets: Mapping[str, SecretRef] = {}
    created_at: str = ""
    note: str = ""
    base_image: str = ""
    """Image of operating system and interpreter under the build, if the platform gives it."""
    has_failed: bool = False
    """Whether it will never be ready; a revision that is neither failed nor ready is still starting."""


class Snapshot(NamedTuple):
    """The service as observed at one moment. ``exists`` is False before the first release; all else is then empty.

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
    """Whether the platform has applied all changes (nothing reconciling, no deployment)."""
    is_public: bool = False
    latest_ready: RevisionName | None = None
    latest_created: RevisionName | None = None
    updates_base_image: bool = False
    """Whether the platform updates the base image by itself, which changes running code without a new revision."""
    rollout_labels: RolloutLabels = RolloutLabels()

    @property
    def baseline(self) -> RevisionName | None:
        """The revision that has all traffic, or None (nothing serves, or traffic is split)."""
        return self.serving.sole

    @property
    def is_marked_good(self) -> bool:
        """Whether labels of the service say that the revision with all traffic was judged good."""
        rollout_labels = self.rollout_labels
        return (
            self.baseline is not None
            and rollout_labels.rollout is None
            and rollout_labels.baseline == self.baseline
        )

    def is_release(self, digest: str, config: str) -> bool:
        """Whether the revision with all traffic was judged good, and has that source and those settings."""
        rollout_labels = self.rollout_labels
        return (
            self.exists
            and self.is_marked_good
            and (rollout_labels.digest, rollout_labels.config)
            == (digest[:63], config[:63])  # a label has at most 63 characters
        )
