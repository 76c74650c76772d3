"""The target on a modelled cloud, with faults at every call."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

from pytest_deploygate.core.artifacts import Backup, Package
from pytest_deploygate.core.errors import (
    Drifted,
    NotCarriedOut,
    OutcomeUnknown,
    StartFailed,
    TargetRefused,
    TargetUnavailable,
)
from pytest_deploygate.core.function_spec import CopyRole, FunctionSpec, Variant
from pytest_deploygate.core.identifiers import (
    BackupId,
    RevisionName,
    RolloutId,
    Secret,
    VariantName,
)
from pytest_deploygate.core.preflight import PreflightFinding
from pytest_deploygate.core.release import RevisionInfo, RolloutLabels, Snapshot
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.core.variant_tags import is_own_tag
from pytest_deploygate.testing.fake_cloud import FakeCloud, digest_of, image_of
from pytest_deploygate.testing.faults import SLOW_S, Fault, Faults, ProcessKilled


def a_spec(
    *, public: bool = True, variants: Mapping[str, Mapping[str, str]] | None = None, **verify: str
) -> FunctionSpec:
    """A function's settings; ``verify`` are the variables of the verification revision."""
    return FunctionSpec(
        function="svc",
        project="p",
        region="r",
        runtime="python312",
        entry_point="f",
        source="/src",
        public=public,
        variables={"SHEET": "production"},
        verify_variables=verify,
        verify_variants={VariantName(name): own for name, own in (variants or {}).items()},
    )


READS = frozenset(
    (
        "preflight",
        "snapshot",
        "revision",
        "package",
        "backup",
        "find_operation",
        "answering_revision",
        "await_revision",
    )
)
"""Methods that change nothing: a lost request, a lost answer or half of it is no answer there."""


class FakeTarget:
    """Implements :class:`pytest_deploygate.ports.Target`."""

    def __init__(
        self, cloud: FakeCloud, faults: Faults | None = None, spec: FunctionSpec | None = None
    ) -> None:
        self.cloud = cloud
        self.faults = faults or Faults()
        self.source = "v1"
        """What :meth:`package` packs: another text is another build."""
        self.findings: tuple[PreflightFinding, ...] = ()
        self._spec = spec or a_spec()

    @property
    def spec(self) -> FunctionSpec:
        return self._spec

    def preflight(self) -> tuple[PreflightFinding, ...]:
        with self._call("preflight"):
            return self.findings

    def snapshot(self) -> Snapshot:
        with self._call("snapshot"):
            return self.cloud.peek()

    def revision(self, name: RevisionName) -> RevisionInfo | None:
        with self._call("revision"):
            service = self.cloud.service
            return service.revisions.get(name) if service is not None else None

    def package(self) -> Package:
        with self._call("package"):
            return Package(
                path="source.zip",
                digest=digest_of(self.source),
                size_bytes=len(self.source),
                files=("main.py",),
            )

    def backup(self, snapshot: Snapshot) -> Backup:
        with self._call("backup"):
            name = snapshot.serving.shares[0][0]
            revision = self.cloud.existing().revisions.get(name)
            if revision is None:
                raise TargetRefused(f"there is no revision {name}")
            return Backup(
                identifier=BackupId(f"backup-{name}"),
                revision=name,
                path=f"/backups/{name}.zip",
                sha256=digest_of(revision.digest),
                size_bytes=1,
                settings=revision.digest,
            )

    def pin(self, snapshot: Snapshot, rollout_labels: RolloutLabels) -> Snapshot:
        with self._call("pin") as fault:
            service, serving = self.cloud.existing(), self.cloud.serving()
            is_done = (
                service.traffic.shares == snapshot.serving.shares
                and service.rollout_labels == rollout_labels
            )
            if snapshot.etag != self.cloud.peek().etag and not is_done:
                raise Drifted("the service was changed since it was read", found=str(serving))
            plan = Traffic.of(dict(serving.shares), dict(service.traffic.tags))
            self.cloud.write("pin", plan, None if fault is Fault.HALF_APPLIED else rollout_labels)
            return self.cloud.peek()

    def upload(self, package: Package) -> str:
        del package
        with self._call("upload"):
            return f"bucket/{image_of(self.source)}"

    def begin_release(self, source: str, rollout_labels: RolloutLabels) -> str:
        with self._call("begin_release") as fault:
            operation = self.cloud.begin(
                image=source.removeprefix("bucket/"),
                variables=self._spec.variables_of(Variant.CANDIDATE),
                rollout_labels=rollout_labels,
                fails=fault,
            )
            return operation.name

    def add_revision(self, of: RevisionName, variant: Variant | VariantName) -> RevisionName:
        with self._call("add_revision") as fault:
            variables = self._spec.variables_of(variant)
            return self.cloud.add(of, variables, is_ready=fault is not Fault.START_FAILS)

    def copy_revision(self, of: RevisionName, role: CopyRole, rollout: RolloutId) -> RevisionName:
        with self._call("copy_revision") as fault:
            is_ready = fault is not Fault.START_FAILS
            return self.cloud.copy(of, f"{rollout}-{role.value}", is_ready=is_ready)

    def await_revision(self, name: RevisionName, *, budget_s: float) -> None:
        del budget_s
        with self._call("await_revision"):
            found = self.cloud.existing().revisions.get(name)
            if found is None or not found.is_ready:
                raise StartFailed(f"revision {name} is not ready")

    def begin_restore(self, backup: Backup) -> str:
        with self._call("begin_restore") as fault:
            operation = self.cloud.begin(
                image=backup.settings,
                variables=self._spec.variables,
                rollout_labels=self.cloud.existing().rollout_labels,
                fails=fault,
            )
            return operation.name

    def await_release(
        self, operation: str, *, progress: Callable[[str], None], budget_s: float
    ) -> RevisionName:
        with self._call("await_release") as fault:
            clock = self.cloud.clock
            found = self.cloud.operations.get(operation)
            if found is None:
                raise TargetRefused(f"there is no operation {operation}")
            if fault in (Fault.BUILD_FAILS, Fault.START_FAILS) and not found.is_done:
                found.fails = fault
            left = found.ready_at - clock.monotonic()
            if left > budget_s:
                clock.sleep(max(budget_s, 0))
                raise OutcomeUnknown("the operation was not finished in time")
            progress("building")
            clock.sleep(max(left, 0))
            self.cloud.complete()
            if found.error is not None:
                raise found.error
            assert found.made is not None
            return found.made

    def find_operation(self) -> str | None:
        with self._call("find_operation"):
            found = self.cloud.pending_operation()
            return found.name if found is not None else None

    def shift_traffic(
        self, to: Traffic, *, expect: Traffic, rollout_labels: RolloutLabels | None = None
    ) -> Snapshot:
        with self._call("shift_traffic") as fault:
            cloud, service = self.cloud, self.cloud.existing()
            foreign = {t: r for t, r in service.traffic.tags if not is_own_tag(t)}
            plan = Traffic.of(dict(to.shares), {**dict(to.tags), **foreign})
            if plan == service.traffic and rollout_labels in (None, service.rollout_labels):
                return cloud.peek()
            serving, wanted = cloud.serving(), cloud.resolve_latest(plan)
            follows_elsewhere = (
                not to.is_pinned and wanted.shares != cloud.resolve_latest(expect).shares
            )
            if serving.shares not in (expect.shares, wanted.shares) or follows_elsewhere:
                raise Drifted(f"{serving} serves, expected {expect}", found=str(serving))
            for name in {r for r, _ in wanted.shares} | {r for _, r in plan.tags}:
                if name not in service.revisions or not service.revisions[name].is_ready:
                    raise TargetRefused(f"revision {name} does not exist or is not ready")
            broken = cloud.missing_images & {r for r, _ in wanted.shares}
            if broken:
                raise NotCarriedOut(f"no traffic for {', '.join(sorted(broken))}: no such image")
            if fault is Fault.LAG:
                cloud.lag()
            if fault is Fault.HALF_APPLIED:
                cloud.write_half(plan)
                raise OutcomeUnknown("the platform stopped half-way")
            cloud.write("shift_traffic", plan, rollout_labels)
            return cloud.peek()

    def keep_image(self, revision: RevisionName, tag: str) -> None:
        with self._call("keep_image"):
            found = self.cloud.existing().revisions.get(revision)
            if found is not None:
                self.cloud.image_tags[tag] = found.digest

    def set_public(self, is_public: bool) -> None:
        with self._call("set_public"):
            self.cloud.existing().is_public = is_public
            self.cloud.note_change("set_public")

    def delete_function(self) -> None:
        with self._call("delete_function"):
            if self.cloud.service is None:
                return
            if self.cloud.service.is_public:
                raise TargetRefused("the function is public, so it is not deleted")
            self.cloud.service = None
            self.cloud.note_change("delete_function")

    def delete_revision(self, name: RevisionName) -> None:
        with self._call("delete_revision"):
            service = self.cloud.existing()
            tagged = {r for _, r in service.traffic.tags}
            if self.cloud.serving().percent(name) or name in tagged:
                raise TargetRefused(f"revision {name} has traffic or a tag")
            service.revisions.pop(name, None)

    def answering_revision(self, url: str) -> RevisionName | None:
        with self._call("answering_revision"):
            answer = self.cloud.answer(url)
            if answer is None:
                raise TargetUnavailable("nobody answers")
            return None if self.cloud.are_answers_anonymous else answer

    def call_token(self) -> Secret | None:
        return Secret("token")

    def gcloud_commands(self, snapshot: Snapshot | None, steps: tuple[int, ...]) -> tuple[str, ...]:
        del snapshot
        move = "gcloud run services update-traffic svc --to-revisions=CANDIDATE"
        return tuple(f"{move}={percent}" for percent in steps)

    def close(self) -> None:
        pass

    @contextmanager
    def _call(self, name: str) -> Generator[Fault | None]:
        cloud, fault = self.cloud, self.faults.take(f"target.{name}")
        cloud.complete()
        if fault is Fault.KILLED_BEFORE:
            raise ProcessKilled(name)
        if fault is Fault.REFUSED:
            raise TargetRefused(f"{name} was refused", hint="ask for the permission")
        unread = name in READS and fault in (
            Fault.LOST_REQUEST,
            Fault.LOST_ANSWER,
            Fault.HALF_APPLIED,
        )
        if fault is Fault.UNAVAILABLE or unread:
            raise TargetUnavailable(f"{name} did not reach the platform")
        if fault is Fault.LOST_REQUEST:
            raise OutcomeUnknown(f"no answer to {name}")
        if fault is Fault.SLOW:
            cloud.clock.sleep(SLOW_S)
            cloud.complete()
        elif fault is Fault.DRIFT:
            cloud.human_moves()
        elif fault is Fault.BASELINE_GONE and cloud.service is not None:
            cloud.human_deletes(cloud.service.rollout_labels.baseline)
        elif fault is Fault.CANDIDATE_GONE and cloud.service is not None:
            cloud.human_deletes(cloud.service.latest_created)
        yield fault
        if fault is Fault.KILLED_AFTER:
            raise ProcessKilled(name)
        if fault in (Fault.LOST_ANSWER, Fault.HALF_APPLIED):
            raise OutcomeUnknown(f"no answer to {name}")
