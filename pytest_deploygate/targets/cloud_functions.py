"""The target: one Cloud Functions (2nd gen) function, at Google or in the local cloud.

Both run this code through the official clients over REST; only endpoint and credentials differ. The
platform's libraries are loaded when a target is made, not when this module is.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_deploygate.config.tables import field_of
from pytest_deploygate.core.artifacts import Backup, Package
from pytest_deploygate.core.errors import (
    ConfigError,
    OutcomeUnknown,
    StartFailed,
    TargetRefused,
    TargetUnavailable,
)
from pytest_deploygate.core.identifiers import RevisionName, Secret
from pytest_deploygate.core.preflight import PreflightFinding
from pytest_deploygate.core.release import (
    PLAIN_VARIABLES,
    ConfirmRequest,
    FunctionSpec,
    RevisionInfo,
    RolloutLabels,
    Snapshot,
    Variant,
)
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.ports import Clock
from pytest_deploygate.targets import gcloud_commands, secret_scan, source_archive

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud import functions_v2

logger = logging.getLogger(__name__)

_CALL_S: Final = 30.0
_DELETE_S: Final = 300.0


class CloudFunctionsTarget:
    """Implements :class:`pytest_deploygate.ports.Target`.

    Args:
        spec: what is deployed.
        endpoint: address of the APIs with its scheme; empty for Google's own.
        credentials: of google-auth; None for the local cloud, which asks for none.
        home: directory for packages and backups, made when needed.
        clock: time.
        is_local: the local cloud: its own tokens, secrets and addresses.
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
        from pytest_deploygate.targets.auth import CallTokens
        from pytest_deploygate.targets.clients import base_url, connect
        from pytest_deploygate.targets.functions_api import CloudFunctions
        from pytest_deploygate.targets.run_api import RunServices
        from pytest_deploygate.targets.run_revisions import RunRevisions
        from pytest_deploygate.targets.secret_versions import SecretVersions

        self._spec = spec
        self._home = home
        self._clock = clock
        self._is_local = is_local
        self._clients = connect(endpoint, credentials)
        self._caller = ApiCaller(clock, timeout_s=timeout_s)
        self._functions = CloudFunctions(self._clients, self._caller, spec, is_local=is_local)
        self._services = RunServices(self._clients, self._caller)
        self._revisions = RunRevisions(self._clients, self._caller)
        self._tokens = CallTokens(credentials, clock) if credentials is not None else None
        self._endpoint = endpoint
        secret_manager = base_url(endpoint, "secretmanager", "v1")
        session = self._clients.session
        self._secrets = SecretVersions(session, self._caller, base_url=secret_manager)
        self._confirm = confirm or ConfirmRequest()
        self._is_public: bool | None = None
        self._last: functions_v2.Function | None = None

    @property
    def spec(self) -> FunctionSpec:
        """What this target deploys."""
        return self._spec

    def close(self) -> None:
        """Release connections."""
        self._clients.close()

    # -- looking ---------------------------------------------------------------------------------

    def preflight(self) -> tuple[PreflightFinding, ...]:
        """Everything that can be found wrong without changing anything."""
        from pytest_deploygate.targets.clients import base_url
        from pytest_deploygate.targets.preflight_checks import Preflight

        return Preflight(
            spec=self._spec,
            functions=self._functions,
            services=self._services,
            revisions=self._revisions,
            secrets=self._secrets,
            session=self._clients.session,
            caller=self._caller,
            iam_url=base_url(self._endpoint, "iam", "v1"),
            usage_url=base_url(self._endpoint, "serviceusage", "v1"),
        ).run()

    def snapshot(self) -> Snapshot:
        """The service as it is now."""
        from pytest_deploygate.targets import converters

        function = self._seen()
        if function is None:
            return Snapshot(exists=False)
        name = self._service_name(function)
        service = self._services.get(name)
        if service is None:
            return Snapshot(exists=False, rollout_labels=converters.labels_of(function.labels))
        return converters.snapshot_of(function, service, is_public=self._seen_public(name))

    def _seen(self) -> "functions_v2.Function | None":
        """The function as it is, or as it was seen last when its API does not answer.

        Returning traffic needs Cloud Run alone, and must not fail for the other API.
        """
        try:
            self._last = self._functions.get()
        except TargetUnavailable as error:
            if self._last is None:
                raise
            logger.warning("target.function_not_read", extra={"reason": error.message})
        return self._last

    def _seen_public(self, name: str) -> bool:
        """Whether the policy lets anyone call the service now, or when it was seen last."""
        try:
            self._is_public = self._services.is_open(name)
        except TargetUnavailable as error:
            if self._is_public is None:
                raise
            logger.warning("target.policy_not_read", extra={"reason": error.message})
        return self._is_public

    def _service_name(self, function: "functions_v2.Function | None" = None) -> str:
        """Full name of the service: as the function says, or by the platform's rule before it does."""
        if function is None:
            function = self._functions.require()
        return function.service_config.service or self._services.name_of(self._spec)

    @property
    def _slug(self) -> str:
        """Name of the service by the platform's rule, with which the names of its revisions begin."""
        return self._spec.function.lower().replace("_", "-")

    def revision(self, name: RevisionName) -> RevisionInfo | None:
        """One revision, or None if the platform no longer has it."""
        return self._revisions.describe(self._service_name(self._seen()), name)

    def find_operation(self) -> str | None:
        """Name of an unfinished deployment operation of the function, or None."""
        for operation in self._functions.operations():
            if not operation.is_done:
                return operation.name
        return None

    def answering_revision(self, url: str) -> RevisionName | None:
        """Which revision answered one request to ``url``, or None if the answer does not say.

        Raises:
            TargetUnavailable: nobody answered, or only the platform did.
        """
        from pytest_deploygate.targets.revision_probe import Closed, RevisionProbe

        is_public = self._is_public if self._is_public is not None else self.snapshot().is_public
        probe = RevisionProbe(self._clients.plain, self._confirm, timeout_s=self._caller.timeout_s)
        try:
            named = probe.ask(url, None if is_public else self._call_token_if_any())
        except Closed:
            # one that was opened just now takes no call without a token until the policy has spread
            token = self._call_token_if_any() if is_public else None
            if token is None:
                logger.warning("target.not_allowed_to_call", extra={"url": url.partition("?")[0]})
                return None
            named = probe.ask(url, token)
        # A function may use the header for something of its own, such as a commit.
        return named if named is not None and named.startswith(f"{self._slug}-") else None

    def _call_token_if_any(self) -> Secret | None:
        try:
            return self._token()
        except TargetRefused as error:
            logger.warning("target.no_call_token", extra={"reason": error.message})
            return None

    def call_token(self) -> Secret | None:
        """Bearer token for calling a service that is not public, or None where none is needed."""
        return None if self.snapshot().is_public else self._token()

    def _token(self) -> Secret | None:
        if self._tokens is None:
            return Secret("local") if self._is_local else None
        service = self._services.require(self._service_name())
        return self._tokens.token(service.uri)

    def gcloud_commands(self, snapshot: Snapshot | None, steps: tuple[int, ...]) -> tuple[str, ...]:
        """The same rollout in gcloud's words, ready to paste into a shell."""
        return gcloud_commands.commands(self._spec, snapshot, steps=steps, cwd=Path.cwd())

    # -- before staging --------------------------------------------------------------------------

    def package(self) -> Package:
        """The source as an archive; local, changes nothing.

        Raises:
            ConfigError: it must not be shipped, or a plain variable looks like a secret.
        """
        finds = [
            find
            for name in PLAIN_VARIABLES
            for find in secret_scan.scan_variables(
                getattr(self._spec, name), where=field_of(FunctionSpec, name).key
            )
        ]
        allowed, refused = secret_scan.split_allowed(finds, self._spec.allowed_secrets)
        if refused:
            raise ConfigError(
                "; ".join(str(find) for find in refused),
                hint="put it into Secret Manager and name it under `secrets`; if it is harmless, say why: "
                f'allowed-secrets = {{ "{refused[0].where}" = "made up for tests" }}',
            )
        package = source_archive.make_package(
            Path(self._spec.source),
            home=self._home,
            entry_point=self._spec.entry_point,
            runtime=self._spec.runtime,
            allowed=self._spec.allowed_secrets,
            source_file=dict(self._spec.build_variables).get("GOOGLE_FUNCTION_SOURCE", "main.py"),
        )
        return replace(package, allowed_secrets=(*allowed, *package.allowed_secrets))

    def backup(self, snapshot: Snapshot) -> Backup:
        """Fetch source and settings of what serves to this side."""
        from pytest_deploygate.targets import source_backups

        if snapshot.baseline is None:
            raise TargetRefused(
                "traffic is split or nothing serves, so there is no one revision to back up",
                hint="give one revision all the traffic first",
            )
        function = self._functions.require()
        service = self._services.require(self._service_name(function))
        return source_backups.make(
            self._functions,
            function,
            service,
            snapshot.baseline,
            self._home / "backups",
            is_built_last=self._is_built_last(function, snapshot.baseline),
        )

    def _is_built_last(self, function: "functions_v2.Function", revision: RevisionName) -> bool:
        """Whether ``revision`` runs what the function was built to last, by digest where the names differ."""
        from pytest_deploygate.targets import converters

        named = converters.short_name(function.service_config.revision)
        if named == revision:
            return True
        last, found = self.revision(named) if named else None, self.revision(revision)
        return (
            last is not None
            and found is not None
            and bool(last.digest)
            and last.digest == found.digest
        )

    def upload(self, package: Package) -> str:
        """Hand the archive to the platform; returns the place for :meth:`begin_release`."""
        return self._functions.upload(Path(package.path))

    # -- releasing -------------------------------------------------------------------------------

    def begin_release(self, source: str, rollout_labels: RolloutLabels) -> str:
        """Ask for one build and a revision of it; returns the operation's name without waiting."""
        from pytest_deploygate.targets import converters
        from pytest_deploygate.targets.deploy_requests import begin, release

        function = self._functions.get()
        if function is None:
            self._refuse_foreign_service()
        known = dict(function.labels) if function is not None else {}
        variables = dict(self._spec.variables_of(Variant.CANDIDATE))
        wanted, paths = release(
            self._spec,
            variables=converters.kept_variables(function) | variables,
            secrets=self._secrets.resolve(self._spec),
            labels=converters.marked(known | dict(self._spec.labels), rollout_labels),
            source=converters.storage_source(source),
        )
        is_new = function is None
        return begin(self._functions, wanted, None if is_new else paths, self._clock)

    def _refuse_foreign_service(self) -> None:
        """A service without a function is no first release: it may serve, and must not be created over."""
        from pytest_deploygate.targets import converters

        name = self._services.name_of(self._spec)
        service = self._services.get(name)
        if service is not None:
            raise TargetRefused(
                f"the Cloud Run service {converters.short_name(name)} exists and has no function: "
                f"{converters.origin_of(service)}",
                hint='deploy to it with `target = "cloud-run"`, or take another name',
            )

    def add_revision(self, of: RevisionName, variant: Variant) -> RevisionName:
        """Ask for one more revision of the image that ``of`` runs; returns its name before it has started."""
        service = self._service_name(self._seen())
        return self._revisions.add_revision(service, of, lambda now: self._changes(now, variant))

    def _changes(self, now: Mapping[str, str], variant: Variant) -> Mapping[str, str | None]:
        """What to change in the variables that a revision has ``now``; None removes one."""
        spec = self._spec
        if variant is Variant.VERIFICATION:
            return dict(spec.verify_variables)
        if spec.is_of_verification(now):
            return {name: spec.variables.get(name) for name in spec.verify_variables}
        return {}

    def await_revision(self, name: RevisionName, *, budget_s: float) -> None:
        """Wait until a revision that was added is ready."""
        self._revisions.await_revision(self._service_name(self._seen()), name, budget_s=budget_s)

    def begin_restore(self, backup: Backup) -> str:
        """Ask for a new revision made of ``backup``; returns the operation's name without waiting."""
        from pytest_deploygate.targets import converters, source_backups
        from pytest_deploygate.targets.deploy_requests import begin, restoration

        path, before = source_backups.read(backup)
        labels = self._functions.require().labels
        source = converters.storage_source(self._functions.upload(path))
        return begin(self._functions, *restoration(before, source, labels), self._clock)

    def await_release(
        self, operation: str, *, progress: Callable[[str], None], budget_s: float
    ) -> RevisionName:
        """Wait for what was begun; may be called again after a crash."""
        from pytest_deploygate.targets import converters, deployment_wait

        ended = deployment_wait.wait(
            self._functions, operation, clock=self._clock, progress=progress, budget_s=budget_s
        )
        config = ended.function.service_config
        if not config.revision:
            raise OutcomeUnknown(
                f"the operation {operation} has ended and names no revision",
                hint="look at the function: deploygate status",
            )
        name = converters.short_name(config.revision)
        info = self._revisions.describe(self._service_name(ended.function), name)
        if info is None or not info.is_ready:
            note = "it is gone" if info is None else info.note or "it is not ready"
            raise StartFailed(
                f"the deployment succeeded, but its revision {name} cannot serve: {note}",
                hint="what served before still does",
            )
        return name

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
        from pytest_deploygate.targets import converters

        function = self._seen()
        if function is None:
            raise TargetRefused(
                f"the function {self._functions.name} does not exist",
                hint="find out who deleted it, then deploy again",
            )
        name = self._service_name(function)
        is_public = self._seen_public(name)  # before the write: what fails after it is no refusal
        service = self._services.shift(name, to, expect=expect, rollout_labels=rollout_labels)
        return converters.snapshot_of(function, service, is_public=is_public)

    def set_public(self, is_public: bool) -> None:
        """Let anyone call the service, or nobody without a token."""
        self._services.set_public(self._service_name(), is_public=is_public)
        self._is_public = is_public

    def delete_function(self) -> None:
        """Remove a function whose first release was not promoted. Refuses when the service is public."""
        from pytest_deploygate.targets import deployment_wait

        function = self._functions.get()
        if function is None:
            return
        service = self._services.get(self._service_name(function))
        if service is not None and self._services.is_public(service):
            raise TargetRefused(
                f"{self._functions.name} is open to the public and was not deleted",
                hint="close it first, if nobody uses it",
            )
        operation = self._functions.delete()
        if operation is not None:
            deployment_wait.wait(
                self._functions,
                operation,
                clock=self._clock,
                progress=lambda _: None,
                budget_s=_DELETE_S,
            )

    def delete_revision(self, name: RevisionName) -> None:
        """Remove one revision that has neither traffic nor tag; one that is gone is success."""
        from pytest_deploygate.targets import converters

        service_name = self._service_name()
        service = self._services.require(service_name)
        plan = converters.resolved(converters.plan_of(service), converters.latest_ready(service))
        if plan.percent(name) or name in dict(plan.tags).values():
            raise TargetRefused(
                f"the revision {name} has traffic or a tag and was not deleted: {plan}",
                hint="take both away first",
            )
        self._revisions.delete_revision(service_name, name)
