"""``backups``: what served before each rollout, kept here."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.cli.output import moment


class KeptBackup(NamedTuple):
    """One backup. ``condition``: ``whole``, ``damaged``, ``missing``, or ``settings only``."""

    backup_identifier: str
    at: datetime
    revision: str
    size_bytes: int
    sha256: str
    path: str
    condition: str


class Backups(NamedTuple):
    """What ``backups`` shows, newest first."""

    environment: str
    backups: Sequence[KeptBackup]


def show_backups(context: CliContext, environment: str, *, is_json: bool) -> None:
    """Sources and settings of what served before each rollout, and whether they are still whole."""
    name = context.environment(environment).name
    with context.store() as store:
        kept = [
            KeptBackup(
                backup_identifier=backup.identifier,
                at=at,
                revision=backup.revision,
                size_bytes=backup.size_bytes,
                sha256=backup.sha256,
                path=backup.path,
                condition=_condition(backup.path, backup.sha256),
            )
            for at, backup in store.backups(name)
        ]
    out = context.output(is_json=is_json)
    out.document(Backups(environment=name, backups=kept))
    if not kept:
        out.line(f"no backup of {name} is recorded")
    columns = ("backup", "at", "revision", "bytes", "condition", "path")
    rows = [
        (b.backup_identifier, moment(b.at), b.revision, str(b.size_bytes), b.condition, b.path)
        for b in kept
    ]
    out.table(columns, rows)


def _condition(path: str, sha256: str) -> str:
    if not path:
        return "settings only"
    try:
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "missing"
    return "whole" if digest == sha256 else "damaged"
