"""Makes the folder of a project's own records: only its owner may look in, and git leaves it alone."""

import contextlib
from pathlib import Path

STATE_FOLDER = ".deploygate"
"""Below the project: records, packages, backups and the emulator."""


def make_private_folder(folder: Path) -> None:
    """Make ``folder`` and those above it that are missing, for the owner alone, whoever is the first to need it.

    The state folder, if ``folder`` is in it, gets a ``.gitignore`` that leaves out all of it: secrets, keys, state and
    logs lie below.

    Raises:
        OSError: it cannot be made.
    """
    above = [folder, *folder.parents]
    missing = [path for path in above if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
    root = next((path for path in above if path.name == STATE_FOLDER), None)
    if root is not None and root not in missing:
        with contextlib.suppress(
            PermissionError
        ):  # somebody else's: what is below it is private all the same
            root.chmod(0o700)
    if root is not None and not (root / ".gitignore").exists():
        (root / ".gitignore").write_text("*\n", encoding="ascii")
