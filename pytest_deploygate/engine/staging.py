"""Backs up and pins the baseline, builds the release once, and starts its revisions beside the baseline (ADR 22).

Nothing here moves traffic, and every effect is journaled first. Only :meth:`Rollout.stage` calls it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pytest_deploygate.core.artifacts import Package
from pytest_deploygate.core.errors import TargetRefused
from pytest_deploygate.core.function_spec import CopyRole, Variant, secrets_text
from pytest_deploygate.core.identifiers import RevisionName, VariantName
from pytest_deploygate.core.own_tags import (
    TAG_CANDIDATE,
    TAG_FRESH,
    TAG_PREVIOUS,
    TAG_VERIFY,
    TAGS_OF_SERVING,
)
from pytest_deploygate.core.record import BuildProvenance, RolloutRecord, StepDetails
from pytest_deploygate.core.release import RevisionInfo, RolloutLabels, Snapshot
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.core.variant_tags import variant_tag
from pytest_deploygate.engine.deploy_operations import RELEASE, deploy
from pytest_deploygate.engine.finalize import require_restore_point, require_revision
from pytest_deploygate.engine.journaled_rollout import JournaledRollout
from pytest_deploygate.engine.traffic_verification import wait_until_tag_answers


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedVariant:
    """Name and URL of one verification variant."""

    revision: RevisionName
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """Names and URLs of the staged revisions. ``verification`` equals ``candidate`` if there is no second revision."""

    candidate: RevisionName
    verification: RevisionName
    candidate_url: str
    verification_url: str
    variants: Mapping[VariantName, StagedVariant] = field(default_factory=dict)


def settled_traffic(snapshot: Snapshot) -> Traffic:
    """The serving traffic by revision name, with our tags of the serving revision but not those of a candidate."""
    keep = {t: r for t, r in snapshot.traffic.tags if t in TAGS_OF_SERVING}
    return Traffic.of(dict(snapshot.serving.shares), keep)


def traffic_while_judged(
    snapshot: Snapshot, record: RolloutRecord, candidate: RevisionName
) -> Traffic:
    """Traffic while the candidate is judged: at the baseline, or on a first release at the built revision."""
    if snapshot.exists:
        return Traffic.of(dict(snapshot.serving.shares))
    return Traffic.of({record.built or candidate: 100})


def with_staged_tags(base: Traffic, snapshot: Snapshot, record: RolloutRecord) -> Traffic:
    """``base`` with the tags of the staged revisions and our tags of the serving revision."""
    tags = dict(settled_traffic(snapshot).tags) | _tags_of_staged(record)
    candidate, baseline = record.candidate, record.baseline
    if baseline is not None and candidate is not None and base.percent(candidate):
        # The tag keeps the baseline in use while it loses its traffic, so that its image is not collected (ADR 22).
        tags[TAG_PREVIOUS] = baseline
    return base.with_tags(tags)


def _tags_of_staged(record: RolloutRecord) -> dict[str, RevisionName]:
    """Staged revisions of the rollout, by tag."""
    made = {variant_tag(name): revision for name, revision in record.variants.items()}
    either = {
        TAG_CANDIDATE: record.candidate,
        TAG_VERIFY: record.verification,
        TAG_FRESH: record.fresh_baseline,
    }
    return made | {tag: revision for tag, revision in either.items() if revision is not None}


def stage_release(rollout: JournaledRollout, snapshot: Snapshot, package: Package) -> Staged:
    """Start the candidate beside the serving revision of ``snapshot``, without traffic.

    Raises:
        DeployGateError: staging failed.
    """
    target, clock = rollout.ports.target, rollout.ports.clock
    deadline = clock.monotonic() + rollout.ports.settings.rollout_budget_s
    if snapshot.exists:
        _back_up(rollout, snapshot)
        # Pin before the build: traffic that follows LATEST moves to a new revision as soon as it is ready.
        _pin(rollout, snapshot)
    rollout.progress("uploading", f"{package.size_bytes} bytes, {len(package.files)} files")
    source = rollout.act("upload", lambda: target.upload(package))
    built = _release(rollout, source, deadline)
    candidate = built
    if target.spec.has_verification or _needs_fresh_baseline(rollout):
        candidate = _add_revisions(rollout, snapshot, built, deadline)
    rollout.update(rollout.record._replace(candidate=candidate))
    build = _record_build(rollout, candidate)
    return _tag(rollout, snapshot, candidate, build)


def _back_up(rollout: JournaledRollout, snapshot: Snapshot) -> None:
    rollout.progress("backing up", str(snapshot.baseline))
    backup = rollout.act(
        "backup",
        lambda: rollout.ports.target.backup(snapshot),
        observed=lambda b: {"identifier": b.identifier, "sha256": b.sha256},
    )
    ports = rollout.ports
    ports.store.save_backup(ports.environment, backup, ports.clock.now())
    rollout.update(rollout.record._replace(backup=backup.identifier))


def _pin(rollout: JournaledRollout, snapshot: Snapshot) -> None:
    rollout_labels = snapshot.rollout_labels._replace(
        rollout=rollout.record.rollout_id, baseline=rollout.record.baseline
    )
    rollout.progress("pinning", f"traffic stays at {snapshot.baseline}")
    rollout.act(
        "pin",
        lambda: rollout.ports.target.pin(snapshot, rollout_labels),
        intent={"serving": str(snapshot.serving)},
        observed=lambda s: {"traffic": str(s.traffic)},
    )


def _rollout_labels(rollout: JournaledRollout) -> RolloutLabels:
    """Labels during the rollout: they describe the baseline, not the candidate (ADR 4)."""
    record = rollout.record
    labels = require_restore_point(record).labels
    return labels._replace(rollout=record.rollout_id, baseline=record.baseline)


def _release(rollout: JournaledRollout, source: str, deadline: float) -> RevisionName:
    target = rollout.ports.target
    rollout.progress("building", "the release, with the production variables")
    revision = deploy(
        rollout,
        RELEASE,
        lambda: target.begin_release(source, _rollout_labels(rollout)),
        deadline=deadline,
    )
    rollout.progress("started", f"revision {revision}")
    return revision


def _needs_fresh_baseline(rollout: JournaledRollout) -> bool:
    return rollout.ports.settings.has_fresh_baseline and rollout.record.baseline is not None


def _add_revisions(
    rollout: JournaledRollout, snapshot: Snapshot, built: RevisionName, deadline: float
) -> RevisionName:
    """Start the revisions besides ``built``, and the candidate from the image that it runs; return the candidate.

    All are requested before any has started, the candidate last: the last request stays in the service's template,
    and everybody's next deployment starts from there (ADR 22).
    """
    target, clock = rollout.ports.target, rollout.ports.clock
    # Each name goes to the record before the next write, so that a recovery knows which revisions are ours.
    rollout.update(rollout.record._replace(built=built))
    if not snapshot.exists:
        _pin(rollout, target.snapshot())
    if target.spec.has_verification:
        _add_verifying(rollout, built)
    if _needs_fresh_baseline(rollout):
        candidate = _add_compared(rollout, built)
    else:
        candidate = _add(rollout, built, Variant.CANDIDATE)
    record = rollout.record._replace(candidate=candidate)
    rollout.update(record)
    added = (record.verification, *record.variants.values(), record.fresh_baseline, candidate)
    for revision in filter(None, added):
        rollout.act(
            "see_ready",
            lambda revision=revision: target.await_revision(  # type: ignore[misc]
                revision, budget_s=deadline - clock.monotonic()
            ),
            intent={"revision": revision},
        )
        rollout.progress("started", f"revision {revision}")
    return candidate


def _add_verifying(rollout: JournaledRollout, built: RevisionName) -> None:
    verification = _add(rollout, built, Variant.VERIFICATION)
    rollout.update(rollout.record._replace(verification=verification))
    for name in rollout.ports.target.spec.verify_variants:
        variants = {**rollout.record.variants, name: _add(rollout, built, name)}
        rollout.update(rollout.record._replace(variants=variants))


def _add_compared(rollout: JournaledRollout, built: RevisionName) -> RevisionName:
    """Start the fresh baseline and right after it the candidate, so that both are equally old; return the candidate.

    Both are whole copies, since the template that the baseline leaves behind differs in more than image and variables.
    """
    baseline = require_revision(rollout.record.baseline, "baseline")
    fresh = _copy(rollout, baseline, CopyRole.BASELINE)
    rollout.update(rollout.record._replace(fresh_baseline=fresh))
    return _copy(rollout, built, CopyRole.CANDIDATE)


def _copy(rollout: JournaledRollout, of: RevisionName, role: CopyRole) -> RevisionName:
    rollout.progress("starting", role.told)
    return rollout.act(
        f"copy_{role.value}",
        lambda: rollout.ports.target.copy_revision(of, role, rollout.record.rollout_id),
        intent={"of": of},
        observed=lambda name: StepDetails(revision=name),
    )


def _add(
    rollout: JournaledRollout, built: RevisionName, variant: Variant | VariantName
) -> RevisionName:
    if isinstance(variant, Variant):
        effect, what, notes = f"add_{variant.value}", f"{variant.value} revision", {}
    else:
        effect, what, notes = (
            "add_variant",
            f"verification variant {variant}",
            {"name": str(variant)},
        )
    rollout.progress("starting", what)
    return rollout.act(
        effect,
        lambda: rollout.ports.target.add_revision(built, variant),
        intent={"of": built, **notes},
        observed=lambda name: StepDetails(revision=name),
    )


def _record_build(rollout: JournaledRollout, candidate: RevisionName) -> BuildProvenance:
    """Record the candidate's image digest and secret versions, so that a rollback can return to exactly these.

    Raises:
        TargetRefused: a verification revision has another build, or differs in other than the named variables.
    """
    info, record = _staged_revision(rollout, candidate), rollout.record
    build = BuildProvenance(
        image=info.digest or info.image, secrets=info.secrets, base_image=info.base_image
    )
    rollout.update(rollout.record._replace(build=build))
    if record.fresh_baseline is not None:
        baseline = require_revision(record.baseline, "baseline")
        fresh, original = (
            _staged_revision(rollout, name) for name in (record.fresh_baseline, baseline)
        )
        _require_same_build(fresh, original, frozenset())
    if record.verification is not None:
        spec = rollout.ports.target.spec

        def differs_in(variant: Variant | VariantName, revision: RevisionName) -> tuple[str, ...]:
            expected = frozenset(spec.differences_of(variant))
            return _require_same_build(_staged_revision(rollout, revision), info, expected)

        build = replace(
            build,
            differs_in=differs_in(Variant.VERIFICATION, record.verification),
            variants_differ_in={n: differs_in(n, r) for n, r in record.variants.items()},
        )
        rollout.update(rollout.record._replace(build=build))
    return build


def _staged_revision(rollout: JournaledRollout, name: RevisionName) -> RevisionInfo:
    info = rollout.ports.target.revision(name)
    if info is None:
        raise TargetRefused(f"the staged revision {name} vanished")
    return info


def _require_same_build(
    verification: RevisionInfo, candidate: RevisionInfo, expected: frozenset[str]
) -> tuple[str, ...]:
    """Require one build and a difference in exactly the ``expected`` variables; return their names."""
    one, other = verification, candidate
    # The digest, not the image tag: Google gives every build the same tag (ADR 22).
    if not one.digest or one.digest != other.digest:
        raise TargetRefused(
            f"{one.name} and {other.name} are not of one build: "
            f"{one.digest or one.image!r}, {other.digest or other.image!r}",
            hint="nothing was promoted; deploy again, and report it if it happens again",
        )
    if one.secrets != other.secrets:
        given = f"{secrets_text(one.secrets)}, {secrets_text(other.secrets)}"
        raise TargetRefused(
            f"{one.name} and {other.name} are given different secrets: {given}",
            hint="nothing was promoted; deploy again, and report it if it happens again",
        )
    names = set(one.variables) | set(other.variables)
    differing = {n for n in names if one.variables.get(n) != other.variables.get(n)}
    if differing != expected:
        raise TargetRefused(
            f"{one.name} and {other.name} differ in {sorted(differing)}, expected {sorted(expected)}"
        )
    return tuple(sorted(differing))


def _tag(
    rollout: JournaledRollout,
    snapshot: Snapshot,
    candidate: RevisionName,
    build: BuildProvenance,
) -> Staged:
    base = traffic_while_judged(snapshot, rollout.record, candidate)
    wanted = with_staged_tags(base, snapshot, rollout.record)
    after = rollout.act(
        "tag",
        lambda: rollout.ports.target.shift_traffic(wanted, expect=base),
        intent={"traffic": str(wanted)},
        observed=lambda s: {"traffic": str(s.traffic)},
    )
    # With automatic base image updates the judged code may change without a new revision, so record them.
    build = replace(build, updates_base_image=after.updates_base_image)
    rollout.update(rollout.record._replace(build=build))
    record, urls = rollout.record, after.tag_urls
    # The gates must not judge the revision that had the tag before (ADR 10).
    for tag, revision in _tags_of_staged(record).items():
        wait_until_tag_answers(rollout, revision, tag, urls[tag])
    return staged_of(record, after)


def staged_of(record: RolloutRecord, snapshot: Snapshot) -> Staged:
    """What was staged, from the record and the tags of the service."""
    candidate, urls = require_revision(record.candidate, "candidate"), snapshot.tag_urls
    return Staged(
        candidate=candidate,
        verification=record.verification or candidate,
        candidate_url=urls[TAG_CANDIDATE],
        verification_url=urls[TAG_VERIFY if record.verification is not None else TAG_CANDIDATE],
        variants={
            name: StagedVariant(revision=revision, url=urls[variant_tag(name)])
            for name, revision in record.variants.items()
        },
    )
