"""All messages of the package have one style: what failed: cause, then hint: do this.

The test finds messages in the source: texts of errors, and everything that becomes a hint. It skips answers of the
emulator's APIs: they have Google's words.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest_deploygate
from pytest_deploygate.core import errors

PACKAGE = Path(pytest_deploygate.__file__).parent
ERRORS = {
    name
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, errors.DeployGateError)
}
NAMES = (
    "Google",
    "GitHub",
    "Secret Manager",
    "Cloud Run",
    "Cloud Monitoring",
    "Python",
    "SQLite",
    "PostgreSQL",
)
"""Names with a capital letter that may start a message, besides names in capitals."""


class FoundMessage(NamedTuple):
    """One text of a message; {} is a placeholder."""

    where: str
    text: str
    node: ast.expr


def texts_of(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """The literal texts that an expression can become."""
    match node:
        case ast.Constant(value=str(text)):
            yield text, node
        case ast.JoinedStr(values=values):
            parts = [v.value if isinstance(v, ast.Constant) else "{}" for v in values]
            yield "".join(map(str, parts)), node
        case ast.IfExp(body=body, orelse=orelse):
            yield from texts_of(body)
            yield from texts_of(orelse)
        case ast.BoolOp(values=values):
            for value in values:
                yield from texts_of(value)
        case ast.Dict(values=values):
            for value in values:
                yield from texts_of(value)
        case ast.Call(func=ast.Attribute(value=value, attr="format")):
            yield from texts_of(value)
        case _:
            pass


def _hinting(module: ast.Module) -> dict[str, int]:
    """Functions of a module that take a hint, with the position of that parameter."""
    found: dict[str, int] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef):
            names = [a.arg for a in node.args.args if a.arg not in {"self", "cls"}]
            if "hint" in names:
                found[node.name] = names.index("hint")
    return found


def _expressions(module: ast.Module) -> Iterator[ast.expr]:
    hinting = _hinting(module)
    for node in ast.walk(module):
        match node:
            case ast.Call(func=func, args=args, keywords=keywords):
                name = ast.unparse(func).rpartition(".")[2]
                yield from (k.value for k in keywords if k.arg in {"hint", "sentence"})
                if name in ERRORS and args:
                    yield args[0]
                if name in hinting and len(args) > hinting[name]:
                    yield args[hinting[name]]
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if "hint" in name.lower():
                yield value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if (
                "hint" in name.lower()
            ):
                yield value
            case ast.FunctionDef(name=name) if "hint" in name:
                yield from (
                    r.value for r in ast.walk(node) if isinstance(r, ast.Return) and r.value
                )


def messages(package: Path = PACKAGE) -> Iterator[FoundMessage]:
    """All messages of ``package``."""
    for path in sorted(package.rglob("*.py")):
        for expression in _expressions(ast.parse(path.read_text(encoding="utf-8"))):
            for text, node in texts_of(expression):
                where = f"{path.relative_to(package)}:{node.lineno}"
                yield FoundMessage(where, text, node)


def faults_of(text: str) -> list[str]:
    """Faults in the style of a message."""
    found = []
    if re.match(r"[A-Z][a-z\s]", text) and not text.startswith(NAMES):
        found.append("begins with a capital letter")
    if re.search(r"(?<!\.)\.\s*$", text):
        found.append("ends with a full stop")
    if "docs/" in text:
        found.append("names a path of the repository: users of the wheel have none, give the URL")
    if re.search(r"\(\?[:=!<P]|\[(?:a-z|A-Z|0-9)[^\]]*\]|\\[dws][+*{]|\^\[|\]\$", text):
        found.append("shows a regular expression: give an example")
    return found


def test_messages_are_found() -> None:
    found = [m.text for m in messages()]
    assert len(found) > 250
    assert "deploygate status" in " ".join(found)


def test_faults_of_style_are_seen() -> None:
    assert faults_of("cannot be read: no such file") == []
    assert faults_of("Secret Manager does not answer") == []
    assert faults_of("GCP is down ...") == []
    for text in ("Try again", "try again.", "see docs/runbook.md", r"must match \d+", "[a-z0-9-]+"):
        assert len(faults_of(text)) == 1, text


def test_all_messages_have_the_one_style() -> None:
    faults = [f"{m.where}: {m.text!r} {f}" for m in messages() for f in faults_of(m.text)]
    assert faults == []
