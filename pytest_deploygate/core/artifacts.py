"""Archives of a source: what will be uploaded, and what is kept of what served."""

from dataclasses import dataclass

from pytest_deploygate.core.identifiers import BackupId, Digest, RevisionName


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """The source as it will be uploaded.

    ``digest`` is that of the manifest (names and contents), and identifies the build; ``left_out`` names each
    excluded path with the reason. ``allowed_secrets`` are places that look like secrets and are packed all the same,
    each with the reason that the settings give.
    """

    path: str
    digest: Digest
    size_bytes: int
    files: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    allowed_secrets: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """Source and configuration of what served, kept on this side. ``path`` holds the source archive."""

    identifier: BackupId
    revision: RevisionName
    path: str
    sha256: Digest
    size_bytes: int
    settings: str
    """The function and the service as the platform described them: JSON text, no secret values."""
