"""Tags of verification variants: an open set, beside those of our tags that have a name of their own."""

from collections.abc import Mapping
from typing import Final

from pytest_deploygate.core.identifiers import RevisionName, VariantName
from pytest_deploygate.core.release import OWN_TAGS

PREFIX: Final = "dg-v-"
"""First characters; the name of the variant follows."""


def variant_tag(name: VariantName) -> str:
    """Tag of a verification variant."""
    return f"{PREFIX}{name}"


def is_own_tag(tag: str) -> bool:
    """Whether a tag is ours: a write of traffic replaces these and keeps all others."""
    return tag in OWN_TAGS or tag.startswith(PREFIX)


def variants_tagged(tags: Mapping[str, RevisionName]) -> Mapping[VariantName, RevisionName]:
    """Revisions that have the tag of a verification variant, by its name."""
    return {
        VariantName(tag.removeprefix(PREFIX)): revision
        for tag, revision in tags.items()
        if tag.startswith(PREFIX)
    }
