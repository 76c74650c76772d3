"""The rollout in gcloud's words, for people who know them, and for a night without this tool."""

import shlex
from pathlib import Path

from pytest_deploygate.core.engine_settings import EngineSettings
from pytest_deploygate.core.function_spec import INGRESS, FunctionSpec
from pytest_deploygate.core.own_tags import TAG_CANDIDATE
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.units import Memory
from pytest_deploygate.targets import gcloud_words as words


def commands(
    spec: FunctionSpec,
    snapshot: Snapshot | None,
    *,
    steps: tuple[int, ...] = EngineSettings().percents,
    cwd: Path,
) -> tuple[str, ...]:
    """The rollout from pin to roll back; each command may begin with a comment line.

    Args:
        spec: what is deployed.
        snapshot: the service as it is, or None if it was not looked at.
        steps: percentages of the traffic that the candidate gets one after the other; ends with 100.
        cwd: directory in which the commands will be pasted, for ``--source``.
    """
    exists = snapshot is not None and snapshot.exists
    baseline = snapshot.baseline if snapshot is not None else None
    service = words.service_of(spec, snapshot)
    is_first = snapshot is not None and not snapshot.exists
    result = [f"export CLOUDSDK_CORE_PROJECT={shlex.quote(spec.project)}"]
    if exists and baseline is not None:
        result.append(
            words.says("keep the traffic where it is", words.move(spec, service, baseline))
        )
    text = deploy(spec, cwd=cwd, is_private=is_first)
    result.append(words.says("build once, without traffic", text))
    if spec.has_verification:
        result += words.two_revisions(spec, service)
    else:
        result.append(words.read_newest(spec, service, "CANDIDATE"))
    result.append(words.set_tag(spec, service, TAG_CANDIDATE, "CANDIDATE"))
    result += words.promote(spec, service, baseline, steps)
    if is_first and spec.public:
        result.append(words.open_to_all(spec, service))
    if exists and snapshot is not None and not snapshot.traffic.is_pinned:
        latest = words.update_traffic(spec, service, "--to-latest")
        result.append(words.says("afterwards: follow the latest revision again, as before", latest))
    if baseline is not None:
        result.append(words.says("roll back", words.move(spec, service, baseline)))
    elif is_first:
        result.append(words.says("roll back", _delete(spec)))
    return tuple(result)


def pinned(spec: FunctionSpec, now: Snapshot) -> tuple[str, ...]:
    """What to know of traffic that is ``now`` pinned by name, as after a rollback; nothing where it follows LATEST."""
    if not now.exists or not now.traffic.is_pinned:
        return ()
    project = words.flag("project", spec.project)
    undo = words.update_traffic(spec, words.service_of(spec, now), f"{project} --to-latest")
    to = now.serving.sole or now.serving
    note = (
        f"traffic is pinned to {to}: what is deployed by other means gets none until the next "
        f"promotion; by hand, once the newest revision is a good one: {undo}"
    )
    return (note,)


def deploy(spec: FunctionSpec, *, cwd: Path, is_private: bool = False) -> str:
    """``gcloud functions deploy`` with the production variables; ``is_private`` keeps the public out."""
    access = "--allow-unauthenticated"
    if is_private or not spec.public:
        access = "--no-allow-unauthenticated"
    parts = [
        f"gcloud functions deploy {shlex.quote(spec.function)}",
        "--gen2",
        f"--runtime {shlex.quote(spec.runtime)}",
        "--trigger-http",
        access,
        words.flag("memory", Memory.parse(spec.memory).gcloud_text),
        words.flag("timeout", f"{spec.timeout_s}s"),
        words.flag("region", spec.region),
        words.flag("entry-point", spec.entry_point),
        words.flag("source", words.source(spec.source, cwd)),
    ]
    if spec.variables:
        parts.append(words.flag("set-env-vars", words.joined(spec.variables)))
    if spec.secrets:
        refs = {key: words.secret(ref, spec) for key, ref in spec.secrets.items()}
        parts.append(words.flag("set-secrets", words.joined(refs)))
    return words.LINE.join([*parts, *_optional(spec)])


def _optional(spec: FunctionSpec) -> list[str]:
    """Flags for what the settings name and gcloud would otherwise leave as it is."""
    account = spec.build_service_account
    if account and not account.startswith("projects/"):
        account = f"projects/{spec.project}/serviceAccounts/{account}"
    values: dict[str, str | int | None] = {
        "cpu": spec.cpu,
        "service-account": spec.service_account,
        "ingress-settings": _ingress(spec),
        "min-instances": spec.min_instances,
        "max-instances": spec.max_instances,
        "concurrency": spec.concurrency,
        "vpc-connector": spec.vpc_connector,
        "egress-settings": spec.vpc_egress.lower().replace("_", "-").replace("-traffic", ""),
        "update-labels": words.joined(spec.labels),
        "set-build-env-vars": words.joined(spec.build_variables),
        "build-service-account": account,
        "build-worker-pool": spec.build_worker_pool,
        "docker-repository": spec.docker_repository,
    }
    return [
        words.flag(name, str(value)) for name, value in values.items() if value not in ("", None)
    ]


def _ingress(spec: FunctionSpec) -> str:
    """Gcloud's word; empty for the platform's default."""
    words = {platform: word for word, platform in INGRESS.items()}
    return "" if spec.ingress == INGRESS["all"] else words[spec.ingress]


def _delete(spec: FunctionSpec) -> str:
    region = words.flag("region", spec.region)
    return f"gcloud functions delete {shlex.quote(spec.function)} --gen2 {region}"
