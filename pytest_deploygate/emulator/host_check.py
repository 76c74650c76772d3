"""Tells requests that were meant for this machine from those that a web page sent here under a name of its own."""

import ipaddress
import re
from functools import lru_cache

_HOST = re.compile(r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[^:\[\]]+))(?::\d{1,5})?", re.IGNORECASE)


@lru_cache(maxsize=256)
def is_loopback_host(host: str | None) -> bool:
    """Whether a ``Host`` header names this machine: ``localhost``, ``*.localhost``, or a loopback address.

    A page whose name was rebound to 127.0.0.1 reaches every port here, but its browser sends the page's own name.
    """
    match = _HOST.fullmatch(host or "")
    if match is None:
        return False
    name = (match["six"] or match["name"]).lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
