"""What the emulator remembers, written through to SQLite in its home directory.

Each write is committed before the call that made it is answered, so that ``kill -9`` loses nothing that a client was
told. Shelves hold protobuf messages and small values by name; a value read is a copy, and only ``put`` changes the
shelf.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from google.cloud import functions_v2, run_v2
from google.iam.v1 import policy_pb2
from google.longrunning import operations_pb2
from google.protobuf.message import Message

from pytest_deploygate.core.errors import ConfigError

SCHEMA = 1
STATE_FILE = "state.sqlite3"
_TABLES = """
CREATE TABLE IF NOT EXISTS shelf (kind TEXT, name TEXT, body BLOB, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS traffic_log (seq INTEGER PRIMARY KEY AUTOINCREMENT, service TEXT, entry TEXT);
"""

T = TypeVar("T")


class Shelf(Generic[T]):
    """Values of one kind by name, kept in memory and written through."""

    def __init__(
        self,
        database: sqlite3.Connection,
        kind: str,
        *,
        encode: Callable[[T], bytes],
        decode: Callable[[bytes], T],
        version: Callable[[T], object] | None = None,
    ) -> None:
        self._database = database
        self._kind = kind
        self._encode = encode
        self._decode = decode
        self._version = version
        self._previous: dict[str, bytes] = {}
        rows = database.execute(
            "SELECT name, body FROM shelf WHERE kind = ? ORDER BY name", (kind,)
        )
        self._bodies: dict[str, bytes] = dict(rows.fetchall())

    def get(self, name: str) -> T | None:
        """A copy of the value called ``name``, or None."""
        body = self._bodies.get(name)
        return None if body is None else self._decode(body)

    def previous(self, name: str) -> T | None:
        """The value as it was in its former version, None if there was none since the process started."""
        body = self._previous.get(name)
        return None if body is None else self._decode(body)

    def __getitem__(self, name: str) -> T:
        return self._decode(self._bodies[name])

    def __contains__(self, name: str) -> bool:
        return name in self._bodies

    def names(self, prefix: str = "") -> list[str]:
        """Names that begin with ``prefix``, sorted."""
        return sorted(name for name in self._bodies if name.startswith(prefix))

    def put(self, name: str, value: T) -> None:
        """Keep ``value`` under ``name``, durable when the outermost transaction ends."""
        body = self._encode(value)
        old = self._bodies.get(name)
        if (
            self._version is not None
            and old is not None
            and self._version(self._decode(old)) != self._version(value)
        ):
            self._previous[name] = old
        self._database.execute(
            "INSERT OR REPLACE INTO shelf (kind, name, body) VALUES (?, ?, ?)",
            (self._kind, name, body),
        )
        self._bodies[name] = body

    def delete(self, name: str) -> None:
        """Forget ``name``; nothing happens if it is unknown."""
        self._database.execute("DELETE FROM shelf WHERE kind = ? AND name = ?", (self._kind, name))
        self._bodies.pop(name, None)


def _message_shelf(
    database: sqlite3.Connection,
    kind: str,
    cls: Callable[[], Message],
    version: Callable[[Message], object] | None = None,
) -> Shelf[Message]:
    def decode(body: bytes) -> Message:
        message = cls()
        message.ParseFromString(body)
        return message

    return Shelf(
        database,
        kind,
        encode=lambda m: bytes(m.SerializeToString()),
        decode=decode,
        version=version,
    )


def _value_shelf(database: sqlite3.Connection, kind: str) -> Shelf[dict[str, object]]:
    def decode(body: bytes) -> dict[str, object]:
        value: dict[str, object] = json.loads(body)
        return value

    return Shelf(database, kind, encode=lambda value: json.dumps(value).encode(), decode=decode)


class EmulatorState:
    """All shelves of one home directory.

    Raises:
        ConfigError: the database is damaged or was written by a newer version.
    """

    def __init__(self, home: Path) -> None:
        path = home / STATE_FILE
        try:
            self.database = sqlite3.connect(path, isolation_level=None)
            self.database.execute("PRAGMA journal_mode = WAL")
            self.database.execute("PRAGMA synchronous = NORMAL")
            version = self.database.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA:
                raise ConfigError(
                    f"{path} was written by a newer version of the emulator",
                    hint="use that version, or remove the directory to start from nothing",
                )
            self.database.executescript(_TABLES)
            self.database.execute(f"PRAGMA user_version = {SCHEMA}")
            self.functions = _message_shelf(self.database, "function", functions_v2.Function.pb())
            self.services = _message_shelf(
                self.database, "service", run_v2.Service.pb(), lambda s: s.generation
            )
            self.revisions = _message_shelf(self.database, "revision", run_v2.Revision.pb())
            self.policies = _message_shelf(self.database, "policy", policy_pb2.Policy)
            self.operations = _message_shelf(self.database, "operation", operations_pb2.Operation)
            self.builds = _value_shelf(self.database, "build")
            self.images = _value_shelf(self.database, "image")
            self.running_images = _value_shelf(self.database, "running_image")
            self.build_operations = _value_shelf(self.database, "build_operation")
            self.uploads = _value_shelf(self.database, "upload")
            self.ports = _value_shelf(self.database, "port")
            self.instances = _value_shelf(self.database, "instance")
        except sqlite3.DatabaseError as error:
            raise ConfigError(
                f"{path} cannot be read: {error}", hint="remove the directory to start from nothing"
            ) from error
        self._depth = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside become durable together; may be nested. There is no await inside."""
        self._depth += 1
        if self._depth == 1:
            self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            # What the shelves hold in memory was already changed, so that a failed block is kept, not undone:
            # each block orders its writes such that a part of them is still consistent.
            self._depth -= 1
            if self._depth == 0:
                self.database.execute("COMMIT")

    def log_traffic(self, service: str, entry: dict[str, object]) -> None:
        """Append one traffic list to the change log."""
        self.database.execute(
            "INSERT INTO traffic_log (service, entry) VALUES (?, ?)", (service, json.dumps(entry))
        )

    def traffic_log(self, service: str | None, after: int, limit: int) -> list[dict[str, object]]:
        """At most ``limit`` entries with a number above ``after``, oldest first, of one service or of all."""
        rows = self.database.execute(
            "SELECT seq, service, entry FROM traffic_log WHERE seq > ? AND (? IS NULL OR service = ?) "
            "ORDER BY seq LIMIT ?",
            (after, service, service, limit),
        )
        return [{"seq": seq, "service": name} | json.loads(entry) for seq, name, entry in rows]

    def close(self) -> None:
        """Close the database."""
        self.database.close()
