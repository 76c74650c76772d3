"""Makes the sink fail while a check posts: on loopback, where the service takes fault rules at ``/_local/faults``."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import requests

from pytest_deploygate.checks.endpoint import Json
from pytest_deploygate.checks.probe import is_loopback
from pytest_deploygate.core.errors import DeployGateError

NAME: Final = f"suites-{os.getpid()}"
"""Other sessions may use the same service."""
SINK_FAULTS: Final[Mapping[str, Mapping[str, Json]]] = {
    "forbidden": {"http": 403, "status": "PERMISSION_DENIED", "times": None},
    "too_many_requests": {"http": 429, "status": "RESOURCE_EXHAUSTED", "times": None},
    "unavailable": {"http": 503, "status": "UNAVAILABLE", "times": None},
    "unavailable_after_the_write": {"http": 503, "status": "UNAVAILABLE", "applied": True},
    "answer_lost_after_the_write": {"drop": "after"},
    "slow": {"delay_s": 1.5},
}
"""What goes wrong with writes, by name. What is applied happens once, so that a repeated write shows in the rows."""


def longest_delay_s(fault: str) -> float:
    """Until when a write that the fault delays has been done, from when it was sent; 0 where it delays none."""
    delay_s = SINK_FAULTS[fault].get("delay_s")
    return 2.0 * delay_s if isinstance(delay_s, float) else 0.0


class FaultNotSet(DeployGateError):
    """The service takes no fault rules."""


def can_fail(service: str) -> bool:
    """Whether the service at this URL can be made to fail: no other one than a stand-in on this machine."""
    return is_loopback(service)


@contextmanager
def failing(service: str, faults: Mapping[str, str], *, place: str) -> Iterator[set[str]]:
    """Writes to ``place`` (a spreadsheet, a collection) of the service at this URL go wrong during the block.

    ``faults`` has the texts by which writes are told apart, such as the number of a document, each with the fault that
    those writes have; an empty text is in every write. Gives the texts whose fault a write met, when the block has
    ended.

    Raises:
        FaultNotSet: the service does not know the rule.
    """
    url = f"{service.rstrip('/')}/_local/faults"
    path = f"/{re.escape(place)}/.*(:append|records)$"
    rules = [
        {"method": "POST", "path": path, "contains": text, **SINK_FAULTS[fault], "name": NAME}
        for text, fault in faults.items()
    ]
    try:
        response = requests.post(url, data=json.dumps(rules), timeout=10)
        if response.status_code != requests.codes.ok:
            raise FaultNotSet(f"{url} refused {faults}: HTTP {response.status_code}")
        met = set[str]()
        yield met
        kept = requests.get(url, timeout=10).json()["faults"]
        met |= {rule["contains"] for rule in kept if rule.get("name") == NAME and rule["given"]}
    finally:
        requests.delete(url, params={"name": NAME}, timeout=10)
