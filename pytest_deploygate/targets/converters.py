"""Messages of Cloud Run to values of the package, and back.

The only place that knows the shape of ``google.cloud.run.v2.Service``. What others put there
(labels, tags) is kept when written back.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from google.cloud import run_v2

from pytest_deploygate.core.errors import ConfigError, TargetRefused
from pytest_deploygate.core.identifiers import RevisionName, RolloutId
from pytest_deploygate.core.release import RevisionInfo, RolloutLabels, Snapshot
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.core.traffic import LATEST, Traffic
from pytest_deploygate.core.variant_tags import is_own_tag
from pytest_deploygate.targets.container_images import digest_of
from pytest_deploygate.targets.json_api import Json, read_message

LABEL_ROLLOUT: Final = "deploygate-rollout"
LABEL_BASELINE: Final = "deploygate-baseline"
LABEL_DIGEST: Final = "deploygate-digest"
LABEL_CONFIG: Final = "deploygate-config"
OWN_LABELS: Final = (LABEL_ROLLOUT, LABEL_BASELINE, LABEL_DIGEST, LABEL_CONFIG)
LABEL_LENGTH: Final = 63
_LABEL_VALUE: Final = re.compile(r"[a-z0-9_-]{0,63}")

_Conditions = run_v2.Condition.State
_LATEST_TYPE: Final = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST


def short_name(name: str) -> RevisionName:
    """Short name of a revision that the platform names in full (``.../revisions/R``)."""
    return RevisionName(name.rpartition("/")[2])


# -- labels ----------------------------------------------------------------------------------------


def has_rollout_labels(labels: Mapping[str, str]) -> bool:
    """Whether any label is ours."""
    return any(name in labels for name in OWN_LABELS)


def labels_of(labels: Mapping[str, str]) -> RolloutLabels:
    """What our labels say."""
    rollout, baseline = labels.get(LABEL_ROLLOUT), labels.get(LABEL_BASELINE)
    return RolloutLabels(
        rollout=RolloutId(rollout) if rollout else None,
        baseline=RevisionName(baseline) if baseline else None,
        digest=labels.get(LABEL_DIGEST, ""),
        config=labels.get(LABEL_CONFIG, ""),
    )


def with_rollout_labels(labels: Mapping[str, str], rollout_labels: RolloutLabels) -> dict[str, str]:
    """``labels`` with ours replaced by ``rollout_labels``; a digest is cut to the length of a label.

    Raises:
        ConfigError: a value that no label can hold.
    """
    ours = {
        LABEL_ROLLOUT: rollout_labels.rollout or "",
        LABEL_BASELINE: rollout_labels.baseline or "",
        LABEL_DIGEST: rollout_labels.digest[:LABEL_LENGTH],
        LABEL_CONFIG: rollout_labels.config[:LABEL_LENGTH],
    }
    for name, value in ours.items():
        if not _LABEL_VALUE.fullmatch(value):
            raise ConfigError(
                f"{value!r} cannot be the value of the label {name}",
                hint="a label takes at most 63 of a-z, 0-9, _ and -",
            )
    others = {k: v for k, v in labels.items() if k not in OWN_LABELS}
    # the empty rollout says that rollout labels were cleared, not that there never were any
    return others | {k: v for k, v in ours.items() if v or k == LABEL_ROLLOUT}


# -- traffic ---------------------------------------------------------------------------------------


def plan_of(service: run_v2.Service) -> Traffic:
    """The traffic plan of a service; none at all means that all follows the latest revision.

    Raises:
        TargetRefused: percentages that do not add up to 100.
    """
    if not service.traffic:
        return Traffic.of({LATEST: 100})
    return _traffic(service.traffic)


def _traffic(
    targets: Iterable[run_v2.TrafficTarget] | Iterable[run_v2.TrafficTargetStatus],
) -> Traffic:
    shares: dict[RevisionName, int] = {}
    tags: dict[str, RevisionName] = {}
    for target in targets:
        is_latest = target.type_ == _LATEST_TYPE or not target.revision
        name = LATEST if is_latest else short_name(target.revision)
        shares[name] = shares.get(name, 0) + target.percent
        if target.tag:
            tags[target.tag] = name
    try:
        return Traffic.of(shares, tags)
    except ValueError as error:
        raise TargetRefused(f"the service's traffic makes no sense: {error}") from error


def resolve_latest(plan: Traffic, latest: RevisionName | None) -> Traffic:
    """``plan`` with LATEST replaced by the revision it stands for; without one, nothing serves."""
    shares: dict[RevisionName, int] = {}
    for revision, percent in plan.shares:
        name = latest if revision == LATEST else revision
        if name is None:
            return Traffic.of({})
        shares[name] = shares.get(name, 0) + percent
    tags = {t: latest if r == LATEST else r for t, r in plan.tags}
    return Traffic.of(shares, {t: r for t, r in tags.items() if r is not None})


def wanted_plan(to: Traffic, now: Traffic) -> Traffic:
    """Shares and our tags as in ``to``, all other tags as they are ``now``."""
    foreign = {tag: revision for tag, revision in now.tags if not is_own_tag(tag)}
    own = {tag: revision for tag, revision in to.tags if is_own_tag(tag)}
    return Traffic.of(dict(to.shares), foreign | own)


def targets_of(plan: Traffic) -> list[Json]:
    """The plan as the platform takes it: a target for each share, then one for each tag."""
    return [
        *(_target(revision, {"percent": percent}) for revision, percent in plan.shares),
        *(_target(revision, {"tag": tag}) for tag, revision in plan.tags),
    ]


def _target(revision: RevisionName, more: Json) -> Json:
    if revision == LATEST:
        return {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", **more}
    return {
        "type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION",
        "revision": revision,
        **more,
    }


def is_carried_out(service: run_v2.Service) -> bool:
    """Whether the platform has done what the service was told: traffic as planned, nothing under way."""
    if service.reconciling or service.observed_generation != service.generation:
        return False
    shown = _traffic(service.traffic_statuses) if service.traffic_statuses else Traffic.of({})
    return shown == plan_of(service)


def shown_traffic(service: run_v2.Service) -> Traffic:
    """What holds by the service's own word, LATEST resolved; nothing where it does not say."""
    if not service.traffic_statuses:
        return Traffic.of({})
    return resolve_latest(_traffic(service.traffic_statuses), latest_ready(service))


def origin_of(service: run_v2.Service) -> str:
    """How a service without a function came to be, as far as it tells."""
    if service.build_config.function_target:
        return "a function that was detached, or made by gcloud run deploy --function"
    if service.client:
        return f"made by {service.client}"
    return "made through Cloud Run or from Knative YAML"


def latest_ready(service: run_v2.Service) -> RevisionName | None:
    """Short name of the newest revision that is ready, or None."""
    return short_name(service.latest_ready_revision) or None


def latest_created(service: run_v2.Service) -> RevisionName | None:
    """Short name of the newest revision, ready or not, or None."""
    return short_name(service.latest_created_revision) or None


# -- snapshot and revisions ------------------------------------------------------------------------


def snapshot_of(service: run_v2.Service, *, is_public: bool) -> Snapshot:
    """The service as a value; ``exists`` only if a revision was ever ready.

    ``is_public`` is what the access policy says.
    """
    newest = latest_ready(service)
    rollout_labels = labels_of(service.labels)
    if newest is None:
        return Snapshot(exists=False, service=service.name, rollout_labels=rollout_labels)
    plan = plan_of(service)
    return Snapshot(
        exists=True,
        service=service.name,
        url=service.uri,
        traffic=plan,
        serving=resolve_latest(plan, newest),
        tag_urls={status.tag: status.uri for status in service.traffic_statuses if status.tag},
        etag=service.etag,
        is_settled=is_carried_out(service),
        is_public=is_public or service.invoker_iam_disabled,
        latest_ready=newest,
        latest_created=latest_created(service),
        updates_base_image=bool(service.build_config.enable_automatic_updates),
        rollout_labels=rollout_labels,
    )


def service_of(found: Json) -> run_v2.Service:
    """The service in JSON, as far as the library knows it."""
    service = run_v2.Service()
    read_message(found, run_v2.Service.pb(service))
    return service


def revision_info(found: Json) -> RevisionInfo:
    """One revision, from JSON; ``note`` says why it is not ready."""
    revision = run_v2.Revision()
    read_message(found, run_v2.Revision.pb(revision))
    ready = [c for c in revision.conditions if c.type_ == "Ready"]
    is_ready = any(c.state == _Conditions.CONDITION_SUCCEEDED for c in ready)
    container = revision.containers[0] if revision.containers else run_v2.Container()
    plain = {v.name: v.value for v in container.env if "value_source" not in v}
    secret = {
        v.name: _secret_ref(v.value_source.secret_key_ref)
        for v in container.env
        if "value_source" in v
    }
    return RevisionInfo(
        name=short_name(revision.name),
        is_ready=is_ready,
        has_failed=any(c.state == _Conditions.CONDITION_FAILED for c in ready),
        image=container.image,
        digest=digest_of(found),
        variables=plain,
        secrets=secret,
        created_at=revision.create_time.isoformat() if revision.create_time else "",
        note="" if is_ready else "; ".join(c.message for c in ready if c.message),
        base_image=container.base_image_uri,
    )


def _secret_ref(selector: run_v2.SecretKeySelector) -> SecretRef:
    """Reads ``S`` and ``projects/P/secrets/S``."""
    parts = selector.secret.split("/")
    project = parts[1] if len(parts) == 4 else ""
    return SecretRef(name=parts[-1], version=selector.version or "latest", project=project)
