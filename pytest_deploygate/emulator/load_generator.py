"""Requests to a function on this machine at a steady rate, so that a step has something to compare.

It asks loopback alone, with bounds on rate and time: it is for trying a canary on a laptop, not for load tests.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import requests

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.emulator.load_limits import MOST_PER_S, MOST_SECONDS

_WORKERS: Final = 32
_TIMEOUT_S: Final = 30.0
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@dataclass(slots=True)
class Tally:
    """Answers by the revision that says it answered (empty where none does) and the class of their status."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """All of them."""
        return self.answers.total()

    def of_revision(self, revision: str) -> int:
        """How many came from ``revision``."""
        return sum(count for (name, _), count in self.answers.items() if name == revision)


class LoadGenerator:
    """Sends requests from :meth:`run` until the time is up or :meth:`stop` is called; ``tally`` counts the answers.

    ``bodies`` are posted, chosen at random; without any, the function is asked with GET and a random ``?n=0..99``.

    Raises:
        ConfigError: the URL is not on this machine, or rate or time are out of bounds.
    """

    def __init__(self, url: str, *, per_s: float, bodies: Sequence[bytes] = ()) -> None:
        if urlsplit(url).hostname not in _LOOPBACK:
            raise ConfigError(
                f"{url} is not on this machine", hint="load is sent to the emulator alone"
            )
        if not 0 < per_s <= MOST_PER_S:
            raise ConfigError(f"a rate must be above 0 and at most {MOST_PER_S} a second")
        self._url = url
        self._per_s = per_s
        self._bodies = tuple(bodies)
        self._stop = threading.Event()
        self._counting = threading.Lock()
        self._free = threading.Semaphore(_WORKERS)
        self._luck = random.Random()  # noqa: S311 - which of equal requests is sent is no secret
        self.tally = Tally()

    def run(
        self, seconds: float = MOST_SECONDS, *, told: Callable[[Tally], None] | None = None
    ) -> None:
        """Send requests for ``seconds``; ``told`` is called about once a second."""
        end = time.monotonic() + min(seconds, MOST_SECONDS)
        with (
            ThreadPoolExecutor(_WORKERS, thread_name_prefix="load") as pool,
            requests.Session() as session,
        ):
            session.trust_env = False  # a proxy of the environment is not for loopback
            session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=_WORKERS))
            next_at = next_told = time.monotonic()
            while time.monotonic() < end and not self._stop.wait(
                max(0.0, next_at - time.monotonic())
            ):
                next_at += 1 / self._per_s
                # a function that does not keep up gets no more than it can answer
                if self._free.acquire(blocking=False):
                    pool.submit(self._send, session)
                if told is not None and time.monotonic() >= next_told:
                    next_told += 1
                    told(self.tally)

    def stop(self) -> None:
        """Send no more; :meth:`run` returns when the last answers are in."""
        self._stop.set()

    def _send(self, session: requests.Session) -> None:
        try:
            if self._bodies:
                body = self._luck.choice(self._bodies)
                headers = {"Content-Type": "application/json"}
                answer = session.post(self._url, data=body, headers=headers, timeout=_TIMEOUT_S)
            else:
                number = {"n": self._luck.randrange(100)}
                answer = session.get(self._url, params=number, timeout=_TIMEOUT_S)
            what = (answer.headers.get("X-Revision", ""), f"{answer.status_code // 100}xx")
        except requests.RequestException as error:
            what = ("", type(error).__name__)
        finally:
            self._free.release()
        with self._counting:
            self.tally.answers[what] += 1
