"""What a revision is made of, whichever API asked for it."""

from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRevision:
    """A revision to be made: of which service, from which template, with which labels on the service."""

    service: str
    template: Message
    labels: dict[str, str]
    follow_latest: bool = False
    """Send all traffic to the latest ready revision from now on."""
    describe: Callable[[Message], None] = lambda _: None
    """Adds to the service what is said of it beside template and labels."""
    is_named: bool = False
    """Leave the revision's name in the template, as a deployment of a function does."""
    described: Message | None = None
    """The service as it was asked for, where Cloud Run itself was asked; None for that of a function."""
