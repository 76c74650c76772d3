"""Source archives: the package to upload, and the backup of the serving revision."""

from dataclasses import dataclass

from pytest_deploygate.core.identifiers import BackupId, Digest, RevisionName


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """The source as it will be uploaded.

    ``digest`` is the digest of the manifest (names and contents) and identifies the build; ``left_out`` names each
    excluded path with the reason. ``allowed_secrets`` names texts that look like secrets and are packed nevertheless,
    each with the reason from the settings.
    """

    path: str
    digest: Digest
    size_bytes: int
    files: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    allowed_secrets: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """Source and settings of the serving revision, kept locally. ``path`` is the source archive."""

    identifier: BackupId
    revision: RevisionName
    path: str
    sha256: Digest
    size_bytes: int
    settings: str
    """The platform's description of function and service: JSON text without secret values."""
