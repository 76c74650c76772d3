"""Backups of what serves: its source and how the platform described it, kept on this side.

The platform hands out only the source that was built last. Where a revision of another build serves
(after a rollback), that would be the wrong one: then an earlier backup of the serving revision is
taken, or the settings alone are kept.
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path

from google.cloud import functions_v2, run_v2
from google.protobuf import json_format

from pytest_deploygate.core.artifacts import Backup
from pytest_deploygate.core.errors import TargetRefused
from pytest_deploygate.core.identifiers import BackupId, Digest, RevisionName
from pytest_deploygate.system.private_folder import make_private_folder
from pytest_deploygate.targets.functions_api import CloudFunctions


def make(
    functions: CloudFunctions,
    function: functions_v2.Function,
    service: run_v2.Service,
    revision: RevisionName,
    folder: Path,
    *,
    is_built_last: bool,
) -> Backup:
    """Back up ``revision``, which ``is_built_last`` or not; the same content gives the same backup."""
    make_private_folder(folder)
    settings = _settings(function, service)
    if is_built_last:
        return _with_source(functions, revision, settings, folder)
    return _earlier(revision, settings, folder) or _without_source(revision, settings)


def _with_source(
    functions: CloudFunctions, revision: RevisionName, settings: str, folder: Path
) -> Backup:
    descriptor, name = tempfile.mkstemp(dir=folder, suffix=".part")  # readable by the owner alone
    os.close(descriptor)
    part = Path(name)
    try:
        digest = functions.download(part)
        identifier = BackupId(f"{revision}-{digest[:12]}")
        path = folder / f"{identifier}.zip"
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return Backup(
        identifier=identifier,
        revision=revision,
        path=str(path),
        sha256=digest,
        size_bytes=path.stat().st_size,
        settings=settings,
    )


def _earlier(revision: RevisionName, settings: str, folder: Path) -> Backup | None:
    for path in sorted(folder.glob(f"{revision}-*.zip")):
        digest = _digest(path)
        if path.stem == f"{revision}-{digest[:12]}":
            return Backup(
                identifier=BackupId(path.stem),
                revision=revision,
                path=str(path),
                sha256=digest,
                size_bytes=path.stat().st_size,
                settings=settings,
            )
    return None


def _without_source(revision: RevisionName, settings: str) -> Backup:
    digest = Digest(hashlib.sha256(settings.encode()).hexdigest())
    return Backup(
        identifier=BackupId(f"{revision}-settings-{digest[:12]}"),
        revision=revision,
        path="",
        sha256=digest,
        size_bytes=0,
        settings=settings,
    )


def _digest(path: Path) -> Digest:
    with path.open("rb") as file:
        return Digest(hashlib.file_digest(file, "sha256").hexdigest())


def _settings(function: functions_v2.Function, service: run_v2.Service) -> str:
    described = {
        "function": json_format.MessageToDict(functions_v2.Function.pb(function)),
        "service": json_format.MessageToDict(run_v2.Service.pb(service)),
    }
    return json.dumps(described, sort_keys=True)


def read(backup: Backup) -> tuple[Path, functions_v2.Function]:
    """The archive of a backup and the function as it was, for deploying both again.

    Raises:
        TargetRefused: the backup has no source, or it is not what was written.
    """
    if not backup.path:
        raise TargetRefused(
            f"the backup {backup.identifier} holds the settings of {backup.revision} but not its "
            "source: the platform had only that of a later deployment",
            hint="deploy the commit that the revision was made from",
        )
    path = Path(backup.path)
    if not path.is_file() or _digest(path) != backup.sha256:
        raise TargetRefused(
            f"the backup {backup.identifier} is damaged or gone: {path}",
            hint="deploy the commit that the revision was made from",
        )
    function = functions_v2.Function()
    described = json.loads(backup.settings)["function"]
    json_format.ParseDict(described, functions_v2.Function.pb(function), ignore_unknown_fields=True)
    return path, function
