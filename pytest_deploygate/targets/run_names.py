"""Names of the revisions that we make on Cloud Run: ``SERVICE-dg-YYMMDD-ID``, by the rollout."""

import hashlib
import secrets
from collections.abc import Callable
from itertools import count

from pytest_deploygate.core.function_spec import CopyRole, Variant
from pytest_deploygate.core.identifiers import RevisionName, RolloutId, VariantName

_OURS = "dg"
"""Stands between the service's name and the rollout's."""


class RevisionNames:
    """Free names for the service ``slug``; ``is_taken`` tells whether a revision of that name exists."""

    def __init__(self, slug: str, is_taken: Callable[[RevisionName], bool]) -> None:
        self._prefix = f"{slug}-{_OURS}-"
        self._is_taken = is_taken

    def of_rollout(self, rollout: RolloutId | None) -> RevisionName:
        """A name by the rollout: of ``20261123-074500-1a2b3c`` with ``261123-1a2b3c``."""
        return self._free(_base_of(rollout))

    def of_copy(self, rollout: RolloutId, role: CopyRole) -> RevisionName:
        """A name for a copy that the rollout makes: the same with ``-b`` or ``-c``."""
        return self._free(f"{_base_of(rollout)}-{role.value[0]}")

    def of_variant(self, of: RevisionName, variant: Variant | VariantName) -> RevisionName:
        """A name for one more revision of the image that ``of`` runs; a variant is a verification revision, too."""
        own = of.removeprefix(self._prefix) if of.startswith(self._prefix) else ""
        base = "-".join(own.split("-")[:2])  # without its own letter
        base = base or hashlib.sha256(of.encode()).hexdigest()[:12]
        return self._free(f"{base}-{'c' if variant is Variant.CANDIDATE else 'v'}")

    def of_restoration(self) -> RevisionName:
        """A name for what is made of a backup."""
        return self._free(_random())

    def _free(self, name: str) -> RevisionName:
        """``name``, with a number behind it where a revision has it already."""
        for number in count(1):
            found = RevisionName(f"{self._prefix}{name}{number if number > 1 else ''}")
            if not self._is_taken(found):
                return found
        raise AssertionError("there is no end of numbers")


def _base_of(rollout: RolloutId | None) -> str:
    day, _, tail = (rollout or "").partition("-")
    has_day = day.isdigit() and tail
    return f"{day[2:]}-{tail.rpartition('-')[2]}" if has_day else _random()


def _random() -> str:
    return f"{secrets.token_hex(3)}-{secrets.token_hex(3)}"  # in two parts, as by a rollout
