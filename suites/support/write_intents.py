"""Write-ahead record of the rows that a check creates, so that rows from a killed run can be removed.

One :class:`WriteIntentLog` belongs to one tab. Its lock is held while a check writes, and the kernel frees it when the
process dies, however it dies. So a trace that is found by whoever holds the lock is one of a run that did not come to
remove its rows.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pytest_deploygate.core.errors import DeployGateError
from suites.support.rows import SheetRow


class WriteIntentDamaged(DeployGateError):
    """The file of a trace cannot be read, so nobody knows what a dead run wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteIntent:
    """A write that was begun at ``began_at`` when the tab had ``above`` used rows.

    ``rows`` are those that it made, once they were read; None as long as nobody looked.
    """

    began_at: datetime
    above: int
    documents: tuple[str, ...]
    rows: tuple[SheetRow, ...] | None = None
    is_all_ours: bool = False
    """Everything below ``above`` is the check's, whatever it says: it prepared the tab, which is the checks' own."""


class WriteIntentLog:
    """The trace of one tab, in ``folder``. Everything but :meth:`alone` needs the lock."""

    def __init__(self, folder: Path, *, spreadsheet_id: str, tab: str) -> None:
        name = hashlib.sha256(f"{spreadsheet_id}\0{tab}".encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / f"{name}.json"
        self._lock = folder / f"{name}.lock"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the tab: no other check on this machine writes meanwhile."""
        with self._lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def read(self) -> WriteIntent | None:
        """The trace of a run that died, or None.

        Raises:
            TraceDamaged: there is one, and it cannot be read.
        """
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            rows = found["rows"]
            return WriteIntent(
                began_at=datetime.fromisoformat(found["began_at"]),
                above=int(found["above"]),
                documents=tuple(found["documents"]),
                is_all_ours=bool(found["is_all_ours"]),
                rows=None
                if rows is None
                else tuple(SheetRow(number=n, cells=tuple(cells)) for n, cells in rows),
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WriteIntentDamaged(
                f"{self.path} cannot be read: {type(error).__name__}",
                hint="look whether a check left rows in the tab, remove them by hand, then remove this file",
            ) from error

    def write(self, trace: WriteIntent) -> None:
        """Put ``trace`` on disk; it is there when this returns."""
        rows = None if trace.rows is None else [[r.number, list(r.cells)] for r in trace.rows]
        document = {
            "began_at": trace.began_at.isoformat(),
            "above": trace.above,
            "documents": trace.documents,
            "rows": rows,
            "is_all_ours": trace.is_all_ours,
        }
        part = self.path.with_suffix(".part")
        with part.open("w", encoding="utf-8") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def clear(self) -> None:
        """Whatever was written is gone again."""
        self.path.unlink(missing_ok=True)


def with_text(rows: Sequence[SheetRow], texts: frozenset[str]) -> tuple[SheetRow, ...]:
    """Rows in which a cell of any column holds one of ``texts``."""
    return tuple(row for row in rows if texts & {str(cell) for cell in row.cells})
