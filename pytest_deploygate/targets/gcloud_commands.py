"""The rollout in gcloud's words, for people who know them, and for a night without this tool.

Quoted for a POSIX shell. Values that hold a comma use another delimiter (``gcloud topic
escaping``).
"""

import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pytest_deploygate.core.engine_settings import EngineSettings
from pytest_deploygate.core.identifiers import RevisionName, VariantName
from pytest_deploygate.core.release import (
    INGRESS,
    TAG_CANDIDATE,
    TAG_VERIFY,
    FunctionSpec,
    SecretRef,
    Snapshot,
    Variant,
)
from pytest_deploygate.core.traffic import steps_to
from pytest_deploygate.core.units import Memory
from pytest_deploygate.core.variant_tags import variant_tag

_DELIMITERS: Final = ("##", "@@", "%%", "~~", "||", "::", ";;", "++", "#@#@#")
_LINE: Final = " \\\n    "


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
    service = _service(spec, snapshot)
    is_first = snapshot is not None and not snapshot.exists
    result = [f"export CLOUDSDK_CORE_PROJECT={shlex.quote(spec.project)}"]
    if exists and baseline is not None:
        result.append(_says("keep the traffic where it is", _move(spec, service, baseline)))
    text = deploy(spec, cwd=cwd, is_private=is_first)
    result.append(_says("build once, without traffic", text))
    if spec.has_verification:
        result += _two_revisions(spec, service)
    else:
        result.append(_newest(spec, service, "CANDIDATE"))
    result.append(_tag(spec, service, TAG_CANDIDATE, "CANDIDATE"))
    result += _promote(spec, service, baseline, steps)
    if is_first and spec.public:
        result.append(_open(spec, service))
    if exists and snapshot is not None and not snapshot.traffic.is_pinned:
        latest = _update_traffic(spec, service, "--to-latest")
        result.append(_says("afterwards: follow the latest revision again, as before", latest))
    if baseline is not None:
        result.append(_says("roll back", _move(spec, service, baseline)))
    elif is_first:
        result.append(_says("roll back", _delete(spec)))
    return tuple(result)


def _two_revisions(spec: FunctionSpec, service: str) -> Iterator[str]:
    """The verification revision, its variants and the candidate, all of the image that was built, by digest."""
    region = _flag("region", spec.region)
    yield _newest(spec, service, "BUILT")
    yield (
        f'IMAGE=$(gcloud run revisions describe "$BUILT" {region} '
        "--format='value(status.imageDigest)')"
    )
    update = f'gcloud run services update {shlex.quote(service)} {region} --image="$IMAGE"'
    now = spec.variables
    revisions: list[tuple[str, Variant | VariantName, str]] = [
        ("the verification revision", Variant.VERIFICATION, TAG_VERIFY),
        *((f"the verification variant {n}", n, variant_tag(n)) for n in spec.verify_variants),
    ]
    for what, variant, tag in revisions:
        wanted = spec.variables_of(variant)
        yield _says(f"{what}, of the same image", " ".join([update, *_changes(now, wanted)]))
        yield _newest(spec, service, "VERIFY")
        yield _tag(spec, service, tag, "VERIFY")
        now = wanted
    changes = _changes(now, spec.variables)
    yield _says("the candidate, of the same image", " ".join([update, *changes]))
    yield _newest(spec, service, "CANDIDATE")


def _changes(now: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Flags that turn the variables of the template from what they are ``now`` into the ``wanted`` ones."""
    changed = {key: value for key, value in wanted.items() if now.get(key) != value}
    gone = [key for key in now if key not in wanted]
    flags = [_flag("update-env-vars", joined(changed))] if changed else []
    return flags + ([_flag("remove-env-vars", ",".join(gone))] if gone else [])


def _promote(
    spec: FunctionSpec, service: str, baseline: RevisionName | None, steps: tuple[int, ...]
) -> Iterator[str]:
    """One write of traffic for each step, as the rollout does it."""
    candidate = RevisionName("$CANDIDATE")
    plans = steps_to(candidate, baseline, steps)
    for plan in plans:
        percent = plan.percent(candidate)
        comment = "promote" if len(plans) == 1 else f"promote: {percent} % to the candidate"
        rest = "" if percent == 100 else f",{baseline}={100 - percent}"
        yield _says(
            comment,
            _update_traffic(spec, service, f'--to-revisions="{candidate}={percent}{rest}"'),
        )


def pinned(spec: FunctionSpec, now: Snapshot) -> tuple[str, ...]:
    """What to know of traffic that is ``now`` pinned by name, as after a rollback; nothing where it follows LATEST."""
    if not now.exists or not now.traffic.is_pinned:
        return ()
    project = _flag("project", spec.project)
    undo = _update_traffic(spec, _service(spec, now), f"{project} --to-latest")
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
        _flag("memory", Memory.parse(spec.memory).gcloud_text),
        _flag("timeout", f"{spec.timeout_s}s"),
        _flag("region", spec.region),
        _flag("entry-point", spec.entry_point),
        _flag("source", _source(spec.source, cwd)),
    ]
    if spec.variables:
        parts.append(_flag("set-env-vars", joined(spec.variables)))
    if spec.secrets:
        refs = {key: _secret(ref, spec) for key, ref in spec.secrets.items()}
        parts.append(_flag("set-secrets", joined(refs)))
    return _LINE.join([*parts, *_optional(spec)])


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
        "update-labels": joined(spec.labels),
        "set-build-env-vars": joined(spec.build_variables),
        "build-service-account": account,
        "build-worker-pool": spec.build_worker_pool,
        "docker-repository": spec.docker_repository,
    }
    return [_flag(name, str(value)) for name, value in values.items() if value not in ("", None)]


def _ingress(spec: FunctionSpec) -> str:
    """Gcloud's word; empty for the platform's default."""
    words = {platform: word for word, platform in INGRESS.items()}
    return "" if spec.ingress == INGRESS["all"] else words[spec.ingress]


def joined(values: Mapping[str, str]) -> str:
    """``KEY=VALUE`` pairs as gcloud reads them; empty for none.

    Raises:
        ValueError: no delimiter is left that the values do not hold.
    """
    pairs = [f"{key}={value}" for key, value in values.items()]
    plain = ",".join(pairs)
    if not any("," in pair for pair in pairs) and not plain.startswith("^"):
        return plain
    for delimiter in _DELIMITERS:
        # a value that ends as the delimiter begins would be cut one character too early
        if not any(delimiter in f"{pair}{delimiter[:-1]}" for pair in pairs):
            return f"^{delimiter}^{delimiter.join(pairs)}"
    raise ValueError("the values hold every delimiter known here")


def _flag(name: str, value: str) -> str:
    return f"--{name}={shlex.quote(value)}"


def _source(source: str, cwd: Path) -> str:
    path = Path(source)
    if not path.is_absolute():
        return source
    return os.path.relpath(path, cwd) if path.is_relative_to(cwd) else source


def _secret(ref: SecretRef, spec: FunctionSpec) -> str:
    is_elsewhere = ref.project and ref.project != spec.project
    name = f"projects/{ref.project}/secrets/{ref.name}" if is_elsewhere else ref.name
    return f"{name}:{ref.version or 'latest'}"


def _service(spec: FunctionSpec, snapshot: Snapshot | None) -> str:
    if snapshot is not None and snapshot.service:
        return snapshot.service.rpartition("/")[2]
    return spec.function.lower().replace("_", "-")


def _says(comment: str, command: str) -> str:
    return f"# {comment}\n{command}"


def _update_traffic(spec: FunctionSpec, service: str, what: str) -> str:
    region = _flag("region", spec.region)
    return f"gcloud run services update-traffic {shlex.quote(service)} {region} {what}"


def _move(spec: FunctionSpec, service: str, revision: RevisionName) -> str:
    return _update_traffic(spec, service, _flag("to-revisions", f"{revision}=100"))


def _tag(spec: FunctionSpec, service: str, tag: str, variable: str) -> str:
    return _update_traffic(spec, service, f'--update-tags="{tag}=${variable}"')


def _newest(spec: FunctionSpec, service: str, variable: str) -> str:
    region = _flag("region", spec.region)
    field = "'value(status.latestCreatedRevisionName)'"
    return (
        f"{variable}=$(gcloud run services describe {shlex.quote(service)} {region} "
        f"--format={field})"
    )


def _open(spec: FunctionSpec, service: str) -> str:
    region = _flag("region", spec.region)
    return (
        f"gcloud run services add-iam-policy-binding {shlex.quote(service)} {region} "
        "--member=allUsers --role=roles/run.invoker"
    )


def _delete(spec: FunctionSpec) -> str:
    region = _flag("region", spec.region)
    return f"gcloud functions delete {shlex.quote(spec.function)} --gen2 {region}"
