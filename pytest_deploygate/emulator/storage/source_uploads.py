"""Uploaded source archives, and the signed-looking URLs by which they come and go."""

import asyncio
import hashlib
import hmac
import secrets
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode

from pytest_deploygate.emulator.storage.state import EmulatorState

_MOST_DIGITS = 18
UPLOAD_LIFETIME_S = 1800
"""As the platform's signed URLs for uploads (``generateUploadUrl``: 30 minutes)."""
MAX_UPLOAD_BYTES = 100 * 1024 * 1024
"""Limit of an uploaded archive (Cloud Functions quotas: "Max deployment size, compressed sources")."""


class Receiver:
    """Writes an archive to a file and computes its digest."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size_bytes = 0
        self.generation = 0
        """Of the object, when all is there."""
        self.digest = hashlib.sha256()

    def write(self, piece: bytes) -> None:
        """Add the next piece."""
        self._file.write(piece)
        self.size_bytes += len(piece)
        self.digest.update(piece)


class Sources:
    """Archives by content, and objects (bucket, name) that lead to them."""

    def __init__(self, home: Path, state: EmulatorState) -> None:
        self._directory = home / "sources"
        self._directory.mkdir(parents=True, exist_ok=True)
        self._state = state
        self._key = _signing_key(home)

    def upload_url(self, base_url: str, bucket: str) -> tuple[str, str]:
        """A URL that takes one new object, and the name of that object."""
        name = f"{uuid.uuid4()}.zip"
        return self.sign(base_url, "PUT", bucket, name), name

    def sign(self, base_url: str, method: str, bucket: str, name: str) -> str:
        """A URL that allows ``method`` on one object for 30 minutes."""
        expires = int(time.time()) + UPLOAD_LIFETIME_S
        query = {
            "X-Goog-Algorithm": "GOOG4-HMAC-SHA256",
            "X-Goog-Expires": str(expires),
            "X-Goog-Signature": self._signature(method, bucket, name, expires),
        }
        return f"{base_url}/_local/storage/{bucket}/{name}?{urlencode(query)}"

    def is_allowed(
        self, method: str, bucket: str, name: str, *, expires: str, signature: str
    ) -> bool:
        """Whether a signed URL is genuine and has not expired."""
        if not (expires.isascii() and expires.isdecimal() and len(expires) <= _MOST_DIGITS):
            return False
        if int(expires) < time.time():
            return False
        genuine = self._signature(method, bucket, name, int(expires))
        return hmac.compare_digest(signature.encode("utf-8", "replace"), genuine.encode())

    def _signature(self, method: str, bucket: str, name: str, expires: int) -> str:
        text = "\n".join([method, bucket, name, str(expires)])
        content = text.encode("utf-8", "surrogateescape")
        return hmac.new(self._key, content, hashlib.sha256).hexdigest()

    @asynccontextmanager
    async def receive(self, bucket: str, name: str) -> AsyncIterator["Receiver"]:
        """Take an archive piece by piece; when all is there, it is the newest generation of an object."""
        partial = self._directory / f"{secrets.token_hex(8)}.partial"
        try:
            with partial.open("xb") as file:
                receiver = Receiver(file)
                yield receiver
            digest = receiver.digest.hexdigest()
            # the system takes its time to free what another file, or none, takes the place of
            await asyncio.to_thread(partial.replace, self.path(digest))
        finally:
            await asyncio.to_thread(partial.unlink, missing_ok=True)
        receiver.generation = self.link(bucket, name, digest)

    def link(self, bucket: str, name: str, digest: str) -> int:
        """Let an object lead to a known archive; returns the object's new generation."""
        generation = time.time_ns() // 1000
        found: dict[str, object] = {"digest": digest, "generation": generation}
        with self._state.transaction():
            self._state.uploads.put(f"{bucket}/{name}", found)
            self._state.uploads.put(f"{bucket}/{name}#{generation}", found)
        return generation

    def digest(self, bucket: str, name: str, generation: int = 0) -> str | None:
        """Digest of an object's content, of the newest generation if none is given; None if there is none."""
        found = self._state.uploads.get(
            f"{bucket}/{name}#{generation}" if generation else f"{bucket}/{name}"
        )
        return None if found is None else str(found["digest"])

    def path(self, digest: str) -> Path:
        """Where the archive with this SHA-256 is, or would be."""
        return self._directory / f"{digest}.zip"


def _signing_key(home: Path) -> bytes:
    path = home / "signing.key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32), encoding="ascii")
    return path.read_bytes()
