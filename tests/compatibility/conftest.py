"""The projects of the plugin's own tests, here with plugins of others."""

from tests.plugin.conftest import baseline, before, project

__all__ = ["baseline", "before", "project"]
