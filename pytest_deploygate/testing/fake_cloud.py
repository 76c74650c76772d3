"""A small true model of one service in a cloud: revisions, traffic, tags, etag, labels, operations that take time.

Several targets may share one cloud, as several deployers do. People act on it with the ``human_`` methods.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from pytest_deploygate.core.errors import BuildFailed, StartFailed, TargetRefused
from pytest_deploygate.core.identifiers import Digest, RevisionName
from pytest_deploygate.core.release import RevisionInfo, RolloutLabels, Snapshot
from pytest_deploygate.core.traffic import LATEST, Traffic
from pytest_deploygate.testing.faults import FakeClock, Fault

BUILD_S = 60.0
"""How long builds take."""
LAGGING_ANSWERS = 5
"""Answers that still come from before after a lagging shift."""
FOREIGN = RevisionName("svc-foreign")
"""What an operator deploys by hand."""


def digest_of(text: str) -> Digest:
    """Hexadecimal SHA-256 of a text."""
    return Digest(sha256(text.encode()).hexdigest())


def image_of(source: str) -> str:
    """What the platform builds from a source text."""
    return f"image-of-{digest_of(source)[:12]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One entry of the traffic history: who caused it and what served from then on."""

    cause: str
    serving: Traffic
    is_public: bool


@dataclass(slots=True, kw_only=True)
class Operation:
    """A deployment under way, or what became of it."""

    name: str
    image: str
    variables: Mapping[str, str]
    rollout_labels: RolloutLabels
    ready_at: float
    fails: Fault | None = None
    error: TargetRefused | None = None
    made: RevisionName | None = None
    is_done: bool = False


@dataclass(slots=True, kw_only=True)
class Service:
    """What the platform keeps of a service."""

    traffic: Traffic
    rollout_labels: RolloutLabels
    is_public: bool = False
    revisions: dict[RevisionName, RevisionInfo] = field(default_factory=dict)
    latest_ready: RevisionName | None = None
    latest_created: RevisionName | None = None


class FakeCloud:
    """One service and its function, and the history of what served."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.service: Service | None = None
        self.operations: dict[str, Operation] = {}
        self.is_answering = True
        self.are_answers_anonymous = False
        """Whether answers leave out which revision gave them, as Cloud Run by itself does."""
        self.missing_images: set[str] = set()
        """Revisions that are ready by their own word, and to which no traffic can be given."""
        self.image_tags: dict[str, str] = {}
        """Builds that were tagged in the registry, by tag."""
        self.tells_of_operations = True
        """Whether the service shows that a deployment of its function is under way."""
        self.changes: list[Change] = []
        self.watchers: list[Callable[[Change], None]] = []
        """Called at every change of traffic, before anything else happens."""
        self._made = 0
        self._marks: dict[RevisionName, str] = {}
        self._etag = 0
        self.are_tags_stuck = False
        """Whether the URLs of tags lead to what serves, whatever is written."""
        self._lagging: list[RevisionName] = []
        self._lagging_tags: list[RevisionName] = []
        self._turn = 0

    # What anybody can see

    def peek(self) -> Snapshot:
        """The service as it is."""
        service = self.service
        if service is None:
            return Snapshot(exists=False)
        return Snapshot(
            exists=True,
            service="svc",
            url="https://svc.example",
            traffic=service.traffic,
            serving=self.serving(),
            tag_urls={t: f"https://{t}---svc.example" for t, _ in service.traffic.tags},
            etag=f'"{self._etag}"',
            is_settled=not self.tells_of_operations or self.pending_operation() is None,
            is_public=service.is_public,
            latest_ready=service.latest_ready,
            latest_created=service.latest_created,
            rollout_labels=service.rollout_labels,
        )

    def serving(self) -> Traffic:
        """Traffic with LATEST resolved."""
        return (
            self.resolve_latest(self.service.traffic)
            if self.service is not None
            else Traffic.of({})
        )

    def images_serving(self) -> set[str]:
        """Builds of what serves."""
        if self.service is None:
            return set()
        return {self.service.revisions[r].digest for r, _ in self.serving().shares}

    def pending_operation(self) -> Operation | None:
        """The operation under way."""
        return next((o for o in self.operations.values() if not o.is_done), None)

    def answer(self, url: str) -> RevisionName | None:
        """Who answers the next request to the public URL, or to that of a tag; None if nobody does."""
        shares = self.serving().shares
        if not self.is_answering or not shares:
            return None
        tag, _, is_of_tag = url.removeprefix("https://").partition("---")
        if is_of_tag and self._lagging_tags:
            return self._lagging_tags.pop()
        if is_of_tag and not self.are_tags_stuck:
            return dict(self.existing().traffic.tags).get(tag)
        if self._lagging:
            return self._lagging.pop()
        self._turn = (self._turn + 37) % 100  # walks over all of 0..99
        passed = 0
        for revision, percent in shares:
            passed += percent
            if self._turn < passed:
                return revision
        raise AssertionError("shares add up to 100")

    # What people do

    def deploy_by_others(self, source: str, *, by_hand: bool = False) -> RevisionName:
        """Somebody deployed ``source`` before the test begins; it serves all traffic, following LATEST."""
        operation = self.begin(image=image_of(source), variables={"SHEET": "production"})
        self.finish_operations()
        assert operation.made is not None
        service = self.existing()
        service.is_public = True
        rollout_labels = RolloutLabels(baseline=operation.made, digest=digest_of(source)[:63])
        self.write(
            "before", Traffic.of({LATEST: 100}), RolloutLabels() if by_hand else rollout_labels
        )
        return operation.made

    def human_moves(self) -> None:
        """An operator deploys a revision of their own and gives it all traffic."""
        if self.service is not None:
            foreign = RevisionInfo(
                name=FOREIGN, is_ready=True, image="theirs", digest="image-theirs"
            )
            self.service.revisions[FOREIGN] = foreign
            self.write("human", Traffic.of({FOREIGN: 100}, dict(self.service.traffic.tags)), None)

    def human_deletes(self, name: RevisionName | None) -> None:
        """An operator deletes a revision; the platform refuses where it has traffic."""
        if self.service is not None and name is not None and not self.serving().percent(name):
            self.service.revisions.pop(name, None)

    def finish_operations(self) -> None:
        """Time passes until every operation has ended."""
        self.clock.advance(2 * BUILD_S)
        self.complete()

    # What the platform does

    def existing(self) -> Service:
        """The service, or a refusal."""
        if self.service is None:
            raise TargetRefused("there is no such function")
        return self.service

    def begin(
        self,
        *,
        image: str,
        variables: Mapping[str, str],
        rollout_labels: RolloutLabels | None = None,
        fails: Fault | None = None,
    ) -> Operation:
        """Start a deployment."""
        if self.pending_operation() is not None:
            raise TargetRefused("another operation of the function is under way")
        operation = Operation(
            name=f"operations/{len(self.operations) + 1}",
            image=image,
            variables=dict(variables),
            rollout_labels=rollout_labels or RolloutLabels(),
            ready_at=self.clock.monotonic() + BUILD_S,
            fails=fails if fails in (Fault.BUILD_FAILS, Fault.START_FAILS) else None,
        )
        self.operations[operation.name] = operation
        return operation

    def complete(self) -> None:
        """Finish the operations whose time has come."""
        for operation in self.operations.values():
            if not operation.is_done and operation.ready_at <= self.clock.monotonic():
                operation.is_done = True
                self._finish(operation)

    def _finish(self, operation: Operation) -> None:
        if operation.fails is Fault.BUILD_FAILS:
            operation.error = BuildFailed("the build failed: SyntaxError")
            return
        self._made += 1
        name = RevisionName(f"svc-{self._made:05d}")
        if self.service is None:
            self.service = Service(
                traffic=Traffic.of({LATEST: 100}), rollout_labels=operation.rollout_labels
            )
        service = self.service
        is_ready = operation.fails is not Fault.START_FAILS
        service.revisions[name] = RevisionInfo(
            name=name,
            is_ready=is_ready,
            image="registry/svc:version_1",
            digest=operation.image,
            variables=operation.variables,
        )
        service.latest_created = name
        service.rollout_labels = operation.rollout_labels
        if is_ready:
            service.latest_ready = operation.made = name
        else:
            operation.error = StartFailed(f"revision {name} is not ready")
        self.note_change("release")

    def add(
        self, of: RevisionName, variables: Mapping[str, str], *, is_ready: bool
    ) -> RevisionName:
        """One more revision of the image that ``of`` runs; the newest one is not made again."""
        base, newest = self._base(of), self._newest()
        same = (base.digest, dict(variables))
        if newest is not None and newest.name != of and (newest.digest, newest.variables) == same:
            return newest.name
        return self._add(base._replace(variables=dict(variables)), is_ready=is_ready)

    def copy(self, of: RevisionName, mark: str, *, is_ready: bool) -> RevisionName:
        """A revision that equals ``of``; the newest one is not made again for the same ``mark``."""
        base, newest = self._base(of), self._newest()
        if newest is not None and self._marks.get(newest.name) == mark:
            return newest.name
        name = self._add(base, is_ready=is_ready)
        self._marks[name] = mark
        return name

    def _base(self, of: RevisionName) -> RevisionInfo:
        base = self.existing().revisions.get(of)
        if base is None:
            raise TargetRefused(f"there is no revision {of}")
        return base

    def _newest(self) -> RevisionInfo | None:
        service = self.existing()
        return service.revisions.get(service.latest_created) if service.latest_created else None

    def _add(self, like: RevisionInfo, *, is_ready: bool) -> RevisionName:
        service = self.existing()
        self._made += 1
        name = RevisionName(f"svc-{self._made:05d}")
        service.revisions[name] = like._replace(name=name, is_ready=is_ready)
        service.latest_created = name
        if is_ready:
            service.latest_ready = name
        self.note_change("add_revision")
        return name

    def resolve_latest(self, plan: Traffic) -> Traffic:
        """``plan`` with LATEST named."""
        latest = self.existing().latest_ready
        shares: dict[RevisionName, int] = {}
        for revision, percent in plan.shares:
            name = latest if revision == LATEST else revision
            if name is not None:
                shares[name] = shares.get(name, 0) + percent
        return Traffic.of(shares, dict(plan.tags))

    def lag(self) -> None:
        """The next answers come from what serves now, whatever is written; those of tags too."""
        self._lagging = [r for r, _ in self.serving().shares] * LAGGING_ANSWERS
        self._lagging_tags = list(self._lagging)

    def write_half(self, plan: Traffic) -> None:
        """Move half of the traffic and none of the tags."""
        before, after = self.serving(), self.resolve_latest(plan)
        shares = dict(after.shares)
        if before.sole is not None and after.sole is not None and before.sole != after.sole:
            shares = {before.sole: 50, after.sole: 50}
        self.write("half", before.with_shares(shares), None)

    def write(self, cause: str, plan: Traffic, rollout_labels: RolloutLabels | None) -> None:
        """Replace the traffic plan."""
        service = self.existing()
        service.traffic = plan
        if rollout_labels is not None:
            service.rollout_labels = rollout_labels
        self.note_change(cause)

    def note_change(self, cause: str) -> None:
        """Note what serves now."""
        self._etag += 1
        is_public = self.service is not None and self.service.is_public
        change = Change(cause=cause, serving=self.serving(), is_public=is_public)
        self.changes.append(change)
        for watcher in self.watchers:
            watcher(change)
