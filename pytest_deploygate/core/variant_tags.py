"""Tags of verification variants. Unlike our other tags, their number is not fixed."""

from collections.abc import Mapping
from typing import Final

from pytest_deploygate.core.identifiers import RevisionName, VariantName
from pytest_deploygate.core.own_tags import OWN_TAGS

PREFIX: Final = "dg-v-"
"""Prefix of the tags; the name of the variant follows."""


def variant_tag(name: VariantName) -> str:
    """Tag of a verification variant."""
    return f"{PREFIX}{name}"


def is_own_tag(tag: str) -> bool:
    """Whether a tag is ours: a traffic write replaces our tags and keeps all others."""
    return tag in OWN_TAGS or tag.startswith(PREFIX)


def variants_tagged(tags: Mapping[str, RevisionName]) -> Mapping[VariantName, RevisionName]:
    """Revisions with the tag of a verification variant, by name of the variant."""
    return {
        VariantName(tag.removeprefix(PREFIX)): revision
        for tag, revision in tags.items()
        if tag.startswith(PREFIX)
    }
