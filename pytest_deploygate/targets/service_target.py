"""What all targets share: a Cloud Run service, with its revisions, its traffic, and who may call it.

The platform's libraries are loaded when a target is made, not when this module is.
"""

from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_deploygate.core.artifacts import Backup, Package
from pytest_deploygate.core.errors import TargetRefused
from pytest_deploygate.core.function_spec import ConfirmRequest, CopyRole, FunctionSpec, Variant
from pytest_deploygate.core.identifiers import RevisionName, RolloutId, Secret, VariantName
from pytest_deploygate.core.release import RevisionInfo, RolloutLabels, Snapshot
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.ports import Clock

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud import run_v2

    from pytest_deploygate.targets.preflight_project import ProjectPreflight
    from pytest_deploygate.targets.preflight_service import ServicePreflight

_CALL_S: Final = 30.0


class ServiceTarget(ABC):
    """The part of :class:`pytest_deploygate.ports.Target` that is Cloud Run's.

    Args:
        spec: what is deployed.
        endpoint: address of the APIs with its scheme; empty for Google's own.
        credentials: of google-auth; None for the emulator, which asks for none.
        home: directory for packages and backups, made when needed.
        clock: time.
        is_local: the emulator: its own tokens, secrets and addresses.
        timeout_s: how long one answer of an API may take.
        confirm: what a URL is asked to see who answers; a GET where there is none.
    """

    def __init__(
        self,
        *,
        spec: FunctionSpec,
        endpoint: str = "",
        credentials: "Credentials | None",
        home: Path,
        clock: Clock,
        is_local: bool,
        timeout_s: float = _CALL_S,
        confirm: ConfirmRequest | None = None,
    ) -> None:
        from pytest_deploygate.targets.api_caller import ApiCaller
        from pytest_deploygate.targets.clients import base_url, connect
        from pytest_deploygate.targets.run_api import RunServices
        from pytest_deploygate.targets.run_revisions import RunRevisions
        from pytest_deploygate.targets.secret_versions import SecretVersions
        from pytest_deploygate.targets.service_access import ServiceAccess

        self._spec = spec
        self._home = home
        self._clock = clock
        self._is_local = is_local
        self._endpoint = endpoint
        self._clients = connect(endpoint, credentials)
        self._caller = ApiCaller(clock, timeout_s=timeout_s)
        self._services = RunServices(self._clients, self._caller)
        self._revisions = RunRevisions(self._clients, self._caller)
        self._access = ServiceAccess(
            self._clients,
            self._caller,
            self._services,
            self._service_name,
            credentials=credentials,
            confirm=confirm or ConfirmRequest(),
            is_local=is_local,
        )
        secret_manager = base_url(endpoint, "secretmanager", "v1")
        session = self._clients.session
        self._secrets = SecretVersions(session, self._caller, base_url=secret_manager)
        self._backup: tuple[Snapshot, Backup] | None = None

    @property
    def spec(self) -> FunctionSpec:
        """What this target deploys."""
        return self._spec

    def close(self) -> None:
        """Release connections."""
        self._clients.close()

    @abstractmethod
    def _service_name(self) -> str:
        """Full name of the service.

        Raises:
            TargetRefused: there is none.
        """

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """The service as it is now."""

    @abstractmethod
    def _snapshot_of(self, service: "run_v2.Service", *, is_public: bool) -> Snapshot:
        """``service`` as a value; ``is_public`` is what the access policy says."""

    # -- looking ---------------------------------------------------------------------------------

    @property
    def _slug(self) -> str:
        """Name of the service by the platform's rule, with which the names of its revisions begin."""
        return self._spec.function.lower().replace("_", "-")

    def _preflight_of_project(self, needed_apis: tuple[str, ...]) -> "ProjectPreflight":
        from pytest_deploygate.targets.clients import base_url
        from pytest_deploygate.targets.preflight_project import ProjectPreflight

        return ProjectPreflight(
            spec=self._spec,
            secrets=self._secrets,
            session=self._clients.session,
            caller=self._caller,
            iam_url=base_url(self._endpoint, "iam", "v1"),
            usage_url=base_url(self._endpoint, "serviceusage", "v1"),
            needed_apis=needed_apis,
        )

    def _preflight_of_service(self, *, is_function: bool) -> "ServicePreflight":
        from pytest_deploygate.targets.preflight_service import ServicePreflight

        return ServicePreflight(
            spec=self._spec,
            services=self._services,
            revisions=self._revisions,
            is_function=is_function,
        )

    def revision(self, name: RevisionName) -> RevisionInfo | None:
        """One revision, or None if the platform no longer has it."""
        return self._revisions.describe(self._service_name(), name)

    def answering_revision(self, url: str) -> RevisionName | None:
        """Which revision answered one request to ``url``, or None if the answer does not say.

        Raises:
            TargetUnavailable: nobody answered, or only the platform did.
        """
        is_public = self._access.is_public
        if is_public is None:
            is_public = self.snapshot().is_public
        named = self._access.answering_revision(url, is_public=is_public)
        # A function may use the header for something of its own, such as a commit.
        return named if named is not None and named.startswith(f"{self._slug}-") else None

    def call_token(self) -> Secret | None:
        """Bearer token for calling a service that is not public, or None where none is needed."""
        return None if self.snapshot().is_public else self._access.token()

    # -- before staging --------------------------------------------------------------------------

    def backup(self, snapshot: Snapshot) -> Backup:
        """Fetch source and settings of what serves to this side; once, as long as it is whole, for one ``snapshot``.

        Readiness checks are given the same backup as the rollout records, and may have damaged the file.
        """
        from pytest_deploygate.targets import source_backups

        known = self._backup
        if known is not None and known[0] == snapshot and source_backups.is_whole(known[1]):
            return known[1]
        made = self._fetch_backup(snapshot)
        self._backup = (snapshot, made)
        return made

    @abstractmethod
    def _fetch_backup(self, snapshot: Snapshot) -> Backup:
        """Fetch source and settings of what serves to this side.

        Raises:
            TargetRefused: not one revision has all the traffic.
        """

    # -- releasing -------------------------------------------------------------------------------

    def package(self) -> Package:
        """The source as an archive; local, changes nothing.

        Raises:
            ConfigError: it must not be shipped, or a plain variable looks like a secret.
        """
        from pytest_deploygate.targets.source_package import package_source

        return package_source(self._spec, self._home)

    def add_revision(self, of: RevisionName, variant: Variant | VariantName) -> RevisionName:
        """Ask for one more revision of the image that ``of`` runs; returns its name before it has started."""
        service = self._service_name()
        changes_of = partial(self._spec.changes_to, variant)
        return self._revisions.add_revision(service, of, changes_of)

    def copy_revision(self, of: RevisionName, role: CopyRole, rollout: RolloutId) -> RevisionName:
        """Ask for one more revision that equals ``of``; returns its name before it has started."""
        return self._revisions.copy_revision(self._service_name(), of, f"{rollout}-{role.value}")

    def await_revision(self, name: RevisionName, *, budget_s: float) -> None:
        """Wait until a revision that was added is ready."""
        self._revisions.await_revision(self._service_name(), name, budget_s=budget_s)

    def keep_image(self, revision: RevisionName, tag: str) -> None:
        """Let ``tag`` lead to the image that ``revision`` runs, where it is in Artifact Registry."""
        from pytest_deploygate.targets.image_tags import ImageTags

        image = self._revisions.image_by_digest(self._service_name(), revision)
        ImageTags(self._clients, self._caller).point(tag, image)

    # -- traffic and access ----------------------------------------------------------------------

    def pin(self, snapshot: Snapshot, rollout_labels: RolloutLabels) -> Snapshot:
        """Give all traffic by name to what serves now and write ``rollout_labels``, in one write."""
        if not snapshot.exists:
            raise TargetRefused("there is no service yet whose traffic could be pinned")
        pinned = snapshot.traffic.with_shares(dict(snapshot.serving.shares))
        return self.shift_traffic(pinned, expect=snapshot.serving, rollout_labels=rollout_labels)

    def shift_traffic(
        self, to: Traffic, *, expect: Traffic, rollout_labels: RolloutLabels | None = None
    ) -> Snapshot:
        """Write the whole plan ``to`` if ``expect`` still serves; foreign tags are kept."""
        name = self._service_name()
        is_public = self._access.read_public(
            name
        )  # before the write: what fails after it is no refusal
        service = self._services.shift(name, to, expect=expect, rollout_labels=rollout_labels)
        return self._snapshot_of(service, is_public=is_public)

    def set_public(self, is_public: bool) -> None:
        """Let anyone call the service, or nobody without a token; returns when an opened one can be called.

        Raises:
            OutcomeUnknown: it was opened, and still asks for a token when the time is up.
        """
        self._access.set_public(is_public)

    def delete_revision(self, name: RevisionName) -> None:
        """Remove one revision that has neither traffic nor tag; one that is gone is success."""
        from pytest_deploygate.targets import converters

        service_name = self._service_name()
        service = self._services.require(service_name)
        plan = converters.resolve_latest(
            converters.plan_of(service), converters.latest_ready(service)
        )
        if plan.percent(name) or name in dict(plan.tags).values():
            raise TargetRefused(
                f"the revision {name} has traffic or a tag and was not deleted: {plan}",
                hint="take both away first",
            )
        self._revisions.delete_revision(service_name, name)
