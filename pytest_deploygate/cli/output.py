"""How commands show what they found: tables on a terminal, plain columns elsewhere, JSON where it is asked for.

A command makes one document, a named tuple; ``--json`` prints exactly its fields, and the text shows the same values.
"""

import contextlib
import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TextIO

from pytest_deploygate.core.printable import one_line, printable
from pytest_deploygate.core.redaction import Redactor

GOOD = "green"
BAD = "bold red"
DOUBTFUL = "yellow"
_WORDS = {
    **dict.fromkeys(("PROMOTED", "KEEP", "PASSED", "whole"), GOOD),
    **dict.fromkeys(("STRANDED", "FAILED", "damaged", "missing", "blocks"), BAD),
    **dict.fromkeys(("ROLLED_BACK", "ROLL_BACK", "REFUSED", "UNKNOWN"), DOUBTFUL),
}
"""Words that have a colour in cells of tables and in facts."""
_LEAST = 30
"""A last column that is folded to fewer characters than this is no longer read."""


class OutputDocument(Protocol):
    """A named tuple. Fields are texts, numbers, truths, moments, and lists and mappings of them, or documents."""

    def _asdict(self) -> dict[str, Any]: ...


class Output:
    """Where one command writes. Every text passes the redactor; progress and notes go to standard error."""

    def __init__(self, *, is_json: bool = False, clean: Callable[[str], str] | None = None) -> None:
        self.is_json = is_json
        self._redact = clean or Redactor()
        self._is_rich = not is_json and is_fancy(sys.stdout)

    def _clean(self, text: str) -> str:
        return printable(self._redact(text))

    def document(self, document: OutputDocument) -> None:
        """With ``--json``, the document; else nothing."""
        if self.is_json:
            text = json.dumps(_clean_value(document, self._redact), indent=2, default=_plain_text)
            self._write(text)

    def json_line(self, document: OutputDocument) -> None:
        """The document as one line of JSON, at once."""
        self._write(json.dumps(_clean_value(document, self._redact), default=_plain_text))
        self.flush()

    def flush(self) -> None:
        """Let whoever reads see now what was written."""
        sys.stdout.flush()

    def line(self, text: str = "", style: str = "") -> None:
        """One line for people."""
        if self.is_json:
            return
        if self._is_rich and style:
            from rich.text import Text

            self._console().print(Text(self._clean(text), style=style), soft_wrap=True)
        else:
            self._write(self._clean(text))

    def note(self, text: str) -> None:
        """One line about what is being done; never part of the result.

        A terminal that is gone must not end what is being done.
        """
        with contextlib.suppress(OSError):
            sys.stderr.write(self._clean(text) + "\n")
            sys.stderr.flush()

    def progress(self, step: str, detail: str) -> None:
        """What a rollout is doing, for people who wait."""
        self.note(f"{step}: {detail}")

    def facts(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Labels and their texts, one a line; empty texts are left out. A terminal gets no line that is too long."""
        if self.is_json:
            return
        kept = [(label, text) for label, text in pairs if text]
        width = max((len(label) for label, _ in kept), default=0)
        for label, raw in kept:
            # a further line must not pass for another fact
            text = self._clean(raw).replace("\n", "\n" + " " * (width + 2))
            if self._is_rich:
                from rich.text import Text

                lines = f"{label.ljust(width)}  {text}".split("\n")
                wrapped = "\n".join(self._wrap(line, width + 2) for line in lines)
                shown = Text(wrapped, style=_style(text))
                shown.stylize(_style(label) or "bold", 0, width + 2)
                self._console().print(shown, soft_wrap=True)
            else:
                self._write(f"{label.ljust(width)}  {text}")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
        """A table; without rows nothing is shown.

        On a terminal that is too narrow for it, each row becomes a line of its cells, with the last one below.
        """
        if self.is_json or not rows:
            return
        if title:
            self.line()
            self.line(title, "bold")
        clean = [[one_line(self._redact(cell)) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(columns, *clean, strict=True)]
        if not self._is_rich:
            for row in [list(columns), *clean]:
                cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
                self._write("  ".join(cells).rstrip())
        elif sum(widths[:-1]) + 2 * len(widths) + min(widths[-1], _LEAST) <= self._console().width:
            self._rich_table(columns, clean)
        else:
            self._stack_rows(clean)

    def _rich_table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 2, 0, 0), pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold", no_wrap=column != columns[-1])
        for row in rows:
            table.add_row(*(Text(cell, style=_style(cell)) for cell in row))
        self._console().print(table)

    def _stack_rows(self, rows: Sequence[Sequence[str]]) -> None:
        from rich.text import Text

        console, indent = self._console(), "    "
        width = console.width - len(indent)
        for row in rows:
            *cells, last = (Text(cell, style=_style(cell)) for cell in row)
            line = Text()
            for cell in filter(None, cells):
                if line and len(line) + 2 + len(cell) > console.width:
                    console.print(line)
                    line = Text(indent)
                elif line:
                    line.append("  ")
                line.append_text(Text("\n" + indent).join(cell.wrap(console, width)))
            console.print(line)
            for part in last.wrap(console, width) if last else ():
                console.print(Text(indent).append_text(part))

    def _wrap(self, line: str, indent: int) -> str:
        """Break a line between words, and indent the rest; a word that fits in no line (a digest) stays whole."""
        return textwrap.fill(
            line,
            self._console().width,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )

    def _console(self) -> "rich.console.Console":  # type: ignore[name-defined] # loaded when needed  # noqa: F821
        from rich.console import Console

        return Console(highlight=False, markup=False)

    def _write(self, text: str) -> None:
        sys.stdout.write(text + "\n")


def _style(cell: str) -> str:
    """The colour of the first word in ``cell`` that has one; empty if none has."""
    return next((_WORDS[word] for word in cell.replace(":", " ").split() if word in _WORDS), "")


def is_fancy(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal that may have colours and lines (https://no-color.org)."""
    is_plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not is_plain


def moment(at: datetime | None) -> str:
    """A moment for people: UTC to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S}Z" if at is not None else ""


def seconds(value: float | None) -> str:
    """A length of time for people."""
    return "" if value is None else f"{value:.1f} s"


def _plain_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _clean_value(value: object, clean: Callable[[str], str]) -> object:
    match value:
        case str():
            return clean(value)
        case tuple() if hasattr(value, "_asdict"):
            return _clean_value(value._asdict(), clean)
        case Mapping():
            return {clean(str(key)): _clean_value(item, clean) for key, item in value.items()}
        case list() | tuple():
            return [_clean_value(item, clean) for item in value]
        case _:
            return value
