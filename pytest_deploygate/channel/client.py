"""The other end of the channel: in the session and in each worker, opened before any conftest file is loaded.

What is needed later is bound here, so that code of the project that patches ``socket`` or ``json`` afterwards does not
cut the channel. A process that was forked from this one has no channel.
"""

import os
import pickle
import socket
from json import JSONEncoder
from typing import Final

from pytest_deploygate.channel.judge_end import LENGTH
from pytest_deploygate.channel.messages import Message, as_list

_ENCODE: Final = JSONEncoder(check_circular=False).encode
_GETPID: Final = os.getpid
_EXIT: Final = os._exit
_LOADS: Final = pickle.loads


class JudgeGone(BaseException):
    """The judge has ended, so nothing that happens here counts any more."""


class JudgeLink:
    """A connection to the judge at ``address``."""

    def __init__(self, address: str) -> None:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connected.connect(address)
        self._write = connected.sendall
        self._read = connected.recv
        self._pid = _GETPID()
        os.register_at_fork(after_in_child=connected.close)
        self._held = b""

    def send(self, message: Message) -> None:
        """Send a message. Raises JudgeGone where nobody reads it."""
        self.send_line(_ENCODE(as_list(message)).encode() + b"\n")

    def hold_line(self, line: bytes) -> None:
        """Have a message that is encoded already go with the next one, in one piece.

        What is held when a process dies is lost; so it must be nothing that would be missed in its favour.
        """
        if _GETPID() != self._pid:
            _EXIT(70)  # see send_line
        self._held += line

    def send_line(self, line: bytes) -> None:
        """Send what is held, and a message that is encoded already."""
        if _GETPID() != self._pid:
            # a copy that a check forked came back to the session: it has no say, and must not go on
            _EXIT(70)
        if self._held:
            line, self._held = self._held + line, b""
        try:
            self._write(line)
        except OSError as error:
            raise JudgeGone(f"the judge cannot be reached: {error}") from error

    def flush(self) -> None:
        """Send what is held."""
        if self._held:
            self.send_line(b"")

    def receive(self) -> object:
        """Wait for an order. Raises JudgeGone when the judge has ended."""
        (length,) = LENGTH.unpack(self._read_exactly(LENGTH.size))
        return _LOADS(self._read_exactly(length))

    def _read_exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._read(size - len(data))
            if not piece:
                raise JudgeGone("the judge has ended")
            data += piece
        return data
