"""Backups of what serves: its source and how the platform described it, kept on this side.

Cloud Functions hands out only the source that was built last. Where a revision of another build serves
(after a rollback), that would be the wrong one: then an earlier backup of the serving revision is
taken, or the settings alone are kept.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from google.cloud import functions_v2, run_v2
from google.protobuf import json_format

from pytest_deploygate.core.artifacts import Backup
from pytest_deploygate.core.errors import TargetRefused
from pytest_deploygate.core.identifiers import BackupId, Digest, RevisionName
from pytest_deploygate.system.private_folder import make_private_folder


def make(
    download: Callable[[Path], Digest] | None,
    settings: str,
    revision: RevisionName,
    folder: Path,
) -> Backup:
    """Back up ``revision``; the same content gives the same backup.

    ``settings`` are those that the platform describes, as JSON text; ``download`` fetches its source, None where the
    platform does not have it.
    """
    make_private_folder(folder)
    if download is not None:
        return _with_source(download, revision, settings, folder)
    return _earlier(revision, settings, folder) or _without_source(revision, settings)


def _with_source(
    download: Callable[[Path], Digest], revision: RevisionName, settings: str, folder: Path
) -> Backup:
    descriptor, name = tempfile.mkstemp(dir=folder, suffix=".part")  # readable by the owner alone
    os.close(descriptor)
    part = Path(name)
    try:
        digest = download(part)
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


def is_whole(backup: Backup) -> bool:
    """Whether the source of ``backup`` is what was written; True where it holds none."""
    if not backup.path:
        return True
    path = Path(backup.path)
    return path.is_file() and _digest(path) == backup.sha256


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


def settings_of_function(function: functions_v2.Function, service: run_v2.Service) -> str:
    """What a backup keeps of a function and its service."""
    described = {
        "function": json_format.MessageToDict(functions_v2.Function.pb(function)),
        "service": json_format.MessageToDict(run_v2.Service.pb(service)),
    }
    return json.dumps(described, sort_keys=True)


def read_source(backup: Backup) -> Path:
    """The archive of a backup.

    Raises:
        TargetRefused: the backup has no source, or it is not what was written.
    """
    if not backup.path:
        raise TargetRefused(
            f"the backup {backup.identifier} holds the settings of {backup.revision} but not its "
            "source: the platform had only that of a later deployment",
            hint="deploy the commit that the revision was made from",
        )
    if not is_whole(backup):
        raise TargetRefused(
            f"the backup {backup.identifier} is damaged or gone: {backup.path}",
            hint="deploy the commit that the revision was made from",
        )
    return Path(backup.path)


def read(backup: Backup) -> tuple[Path, functions_v2.Function]:
    """The archive of a backup and the function as it was, for deploying both again.

    Raises:
        TargetRefused: the backup has no source, it is not what was written, or it is of no function.
    """
    path = read_source(backup)
    function = functions_v2.Function()
    described = json.loads(backup.settings).get("function")
    if described is None:
        raise TargetRefused(
            f"the backup {backup.identifier} is one of a Cloud Run service, not of a function",
            hint='restore it with `target = "cloud-run"`, or deploy the commit that it was made from',
        )
    json_format.ParseDict(described, functions_v2.Function.pb(function), ignore_unknown_fields=True)
    return path, function
