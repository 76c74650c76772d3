"""Secrets of the platform's secret store, by name and version."""

from typing import Final, NamedTuple

from pytest_deploygate.core.setting import Setting


class SecretRef(NamedTuple):
    """A secret of the platform's secret store; ``version`` is a number or ``latest``."""

    name: str
    version: str = "latest"
    project: str = ""

    @classmethod
    def parse(cls, text: str) -> "SecretRef":
        """Read ``NAME:VERSION`` or ``projects/PROJECT/secrets/NAME/versions/VERSION``."""
        name, _, version = text.replace("/versions/", ":").rpartition(":")
        project, _, short = name.removeprefix("projects/").rpartition("/secrets/")
        return cls(name=short, version=version, project=project)

    def __str__(self) -> str:
        if not self.project:
            return f"{self.name}:{self.version}"
        return f"projects/{self.project}/secrets/{self.name}/versions/{self.version}"


SECRET: Final = Setting(
    "",
    is_a='a secret with its version, as "name:latest", "name:3" or "projects/ID/secrets/name/versions/3"',
    pattern="(projects/[a-z0-9-]+/secrets/)?[A-Za-z0-9_-]+(:|/versions/)(latest|[0-9]+)",
    parse=SecretRef.parse,
)
"""How a secret is written in the settings."""
