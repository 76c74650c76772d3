"""Directives that print what the plugin itself declares, so that the reference cannot go stale.

``pytest-options`` prints the plugin's block of ``pytest --help``, ``pytest-fixtures`` the fixtures with their
docstrings. Commands are printed by sphinx-click; their epilogues keep their lines.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

import pytest_deploygate.fixtures

HEADING = "deployment gating (pytest-deploygate):"


def read_options() -> str:
    """The plugin's block of ``pytest --help``, 96 columns wide."""
    command = [sys.executable, "-m", "pytest", "--help", "-p", "no:cacheprovider"]
    environment = {**os.environ, "COLUMNS": "96"}
    page = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment
    ).stdout
    block = page.partition(f"\n{HEADING}\n")[2].partition("\n\n")[0]
    if not block:
        raise ExtensionError(f"pytest --help has no block {HEADING!r}")
    return block


def read_fixtures() -> list[tuple[str, str, str]]:
    """Name, scope and docstring of each public fixture, in the order of the module."""
    module = ast.parse(Path(pytest_deploygate.fixtures.__file__).read_text(encoding="utf-8"))
    found = []
    for function in module.body:
        if not isinstance(function, ast.FunctionDef):
            continue
        for decorator in function.decorator_list:
            text = ast.unparse(decorator)
            if text.startswith("pytest.fixture"):
                scope = text.partition("scope='")[2].partition("'")[0] or "function"
                found.append((function.name, scope, ast.get_docstring(function) or ""))
    return found


class PytestOptions(SphinxDirective):
    """``pytest-options``: the block of ``pytest --help``."""

    def run(self) -> list[nodes.Node]:
        """Build the nodes."""
        block = read_options()
        return [nodes.literal_block(block, block, language="none")]


class PytestFixtures(SphinxDirective):
    """``pytest-fixtures``: a table of the public fixtures."""

    def run(self) -> list[nodes.Node]:
        """Build the nodes."""
        lines = ["| fixture | scope | is |", "| --- | --- | --- |"]
        for name, scope, text in read_fixtures():
            first = " ".join(text.partition("\n\n")[0].split()).replace("``", "`")
            lines.append(f"| `{name}` | {scope} | {first} |")
        return self.parse_text_to_nodes("\n".join(lines))


def keep_lines_of_epilogue(_app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Print the blocks of an epilogue (examples, exit statuses) as code, each under its first line."""
    lines.clear()
    for block in (context.command.epilog or "").split("\b\n")[1:]:
        heading, _, rest = block.strip("\n").partition("\n")
        lines += [f"**{heading.rstrip(':')}**", "", ".. code-block:: none", "", rest, ""]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("pytest-options", PytestOptions)
    app.add_directive("pytest-fixtures", PytestFixtures)
    app.connect("sphinx-click-process-epilog", keep_lines_of_epilogue)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
