"""Pages, order and filters of a listing, as Google's list methods have them (AIP-132, AIP-158, AIP-160)."""

import base64
import binascii
import re
from collections.abc import Callable

from aiohttp import web

from pytest_deploygate.emulator.api.protobuf_json import ApiError, Json, whole_number

_DEFAULT_SIZE = 100
_MAX_SIZE = 1000
_TOKEN = "after:"  # noqa: S105 - a word in a page token
_TERM = re.compile(
    r"""(?P<minus>-|NOT\s+)?(?P<path>[\w.-]+)\s*(?P<operator>!=|=|:)\s*(?P<value>"[^"]*"|'[^']*'|[^\s()"']+)"""
)
_ORDER = re.compile(r"(?P<path>\w+)(?:\s+(?P<way>asc|desc))?")


def page(
    request: web.Request, names: list[str], *, newest_first: bool = False
) -> tuple[list[str], str]:
    """The part of the sorted ``names`` that ``pageSize`` and ``pageToken`` ask for, and the next token.

    Raises:
        ApiError: 400 for a size that is no number, or a token that no answer had.
    """
    wanted = whole_number(request.query.get("pageSize", "0"), "page_size")
    size = min(wanted or _DEFAULT_SIZE, _MAX_SIZE)
    ordered = names[::-1] if newest_first else names
    rest = ordered
    if token := request.query.get("pageToken", ""):
        last = _read_token(token)
        rest = [name for name in ordered if (name < last if newest_first else name > last)]
    return rest[:size], _token_of(rest[size - 1]) if len(rest) > size else ""


def _token_of(name: str) -> str:
    return base64.urlsafe_b64encode(f"{_TOKEN}{name}".encode()).decode()


def _read_token(token: str) -> str:
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
    except (ValueError, binascii.Error):
        text = ""
    if not text.startswith(_TOKEN):
        raise ApiError(
            400, "Invalid value at 'page_token': it is not one that a former answer gave"
        )
    return text.removeprefix(_TOKEN)


def under(names: list[str], parent: str, kind: str) -> list[str]:
    """Those ``names`` that are of ``parent``; its location ``-`` means all locations."""
    start = parent.removesuffix("-") if parent.endswith("/locations/-") else f"{parent}/{kind}/"
    return [name for name in names if name.startswith(start) and f"/{kind}/" in name]


def matching(request: web.Request, names: list[str], read: Callable[[str], Json]) -> list[str]:
    """The ``names`` that ``filter`` lets pass, where ``read`` gives what each names as JSON.

    Raises:
        ApiError: 400 for a filter that is none, or that is more than terms joined by AND.
    """
    text = request.query.get("filter", "").strip()
    if not text:
        return names
    terms = []
    for part in re.split(r"\s+AND\s+", text):
        match = _TERM.fullmatch(part.strip().removeprefix("(").removesuffix(")").strip())
        if match is None:
            raise ApiError(400, f"Invalid value at 'filter': {part[:100]!r} is not understood")
        terms.append(match)
    return [name for name in names if all(_holds(term, read(name)) for term in terms)]


def _holds(term: re.Match[str], found: Json) -> bool:
    value: object = found
    for name in term["path"].split("."):
        first, *others = name.split("_")
        camel = first + "".join(other.capitalize() for other in others)
        value = value.get(name, value.get(camel)) if isinstance(value, dict) else None
    wanted = term["value"].strip("\"'")
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    if value is None:
        is_equal = False
    elif term["operator"] == ":":
        is_equal = wanted == "*" or (
            wanted in value if isinstance(value, dict) else wanted.lower() in shown.lower()
        )
    else:
        is_equal = shown == wanted
    return is_equal ^ (term["operator"] == "!=") ^ bool(term["minus"])


def ordered(request: web.Request, names: list[str], read: Callable[[str], Json]) -> list[str]:
    """The ``names`` as ``orderBy`` asks for; for a listing that has one page then.

    Raises:
        ApiError: 400 for what is no order.
    """
    text = request.query.get("orderBy", request.query.get("order_by", "")).strip()
    if not text:
        return names
    for part in reversed(text.split(",")):
        match = _ORDER.fullmatch(part.strip())
        if match is None:
            raise ApiError(400, f"Invalid value at 'order_by': {part[:100]!r} is not understood")
        first, *others = match["path"].split("_")
        field = first + "".join(other.capitalize() for other in others)
        names = sorted(
            names, key=lambda name: str(read(name).get(field, "")), reverse=match["way"] == "desc"
        )
    return names
