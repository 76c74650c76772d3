"""Configuration of the documentation site: ``tox -e docs`` builds it, offline, with warnings as errors."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from pytest_deploygate import __version__

project = "pytest-deploygate"
author = "The pytest-deploygate developers"
project_copyright = author
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "generated_reference",
]
exclude_patterns = ["_build", "_ext", "changelog.d"]

# Headings down to the third level are anchors; a link to a page or an anchor that is missing is a warning.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = True


copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True

html_theme = "furo"
html_title = "pytest-deploygate"
html_static_path: list[str] = []
# Nothing is fetched while building, and a page loads nothing from elsewhere.
html_show_sphinx = False
