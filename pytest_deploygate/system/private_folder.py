"""Creates the state folder of a project, readable only by its owner and ignored by git."""

import contextlib
from pathlib import Path

STATE_FOLDER = ".deploygate"
"""Folder in the project for the record, packages, backups and the emulator."""


def make_private_folder(folder: Path) -> None:
    """Create ``folder`` and its missing parents, accessible only to the owner.

    If ``folder`` is in the state folder, that folder gets a ``.gitignore`` for all its contents: secrets, keys, state
    and logs.

    Raises:
        OSError: it cannot be created.
    """
    above = [folder, *folder.parents]
    missing = [path for path in above if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
    root = next((path for path in above if path.name == STATE_FOLDER), None)
    if root is not None and root not in missing:
        with contextlib.suppress(
            PermissionError
        ):  # another user owns it; the folders below it are private anyway
            root.chmod(0o700)
    if root is not None and not (root / ".gitignore").exists():
        (root / ".gitignore").write_text("*\n", encoding="ascii")
