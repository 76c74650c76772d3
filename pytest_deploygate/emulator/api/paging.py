"""Pages, order and filters of a listing, as Google's list methods have them (AIP-132, AIP-158, AIP-160).

However long a list is, other requests are answered between two of its entries.
"""

import asyncio
import base64
import binascii
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from pytest_deploygate.emulator.api.protobuf_json import (
    ApiError,
    Json,
    json_body,
    wants_numbers,
    whole_number,
)

_DEFAULT_SIZE = 100
_MAX_SIZE = 1000
_TERM = re.compile(
    r"""(?P<minus>-|NOT\s+)?(?P<path>[\w.-]+)\s*(?P<operator>!=|=|:)\s*(?P<value>"[^"]*"|'[^']*'|[^\s()"']+)"""
)
_ORDER = re.compile(r"(?P<path>[\w.]+)(?:\s+(?P<way>asc|desc))?")
_MAX_TEXT_CHARS = 2000
"""Of a filter or an order."""


class Read(Protocol):
    """Gives what a name names as JSON."""

    def __call__(self, name: str, *, as_ints: bool) -> Json | None:
        """With enums as numbers or not; None for what is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What one list method lists: ``names`` sorted, and how each is read."""

    field: str
    """Of the answer: ``functions``."""
    names: list[str]
    read: Read
    is_filtered: bool = False
    """Whether the method has the parameter ``filter``."""
    is_ordered: bool = False
    """Whether the method has the parameter ``orderBy``."""
    is_newest_first: bool = False
    """Whether the list begins with the last of the names."""


async def answer_list(request: web.Request, listing: Listing) -> web.Response:
    """Answer with the page of ``listing`` that the request asks for.

    Raises:
        ApiError: 400 for a page size, page token, filter or order that is none.
    """
    names = listing.names[::-1] if listing.is_newest_first else listing.names
    terms = _terms(request) if listing.is_filtered else []
    keys = _order(request) if listing.is_ordered else []
    size, after = _place(request)
    if terms or keys:
        names = await _select_names(listing, names, terms, keys)
    begin = _begin(listing, names, after, is_ordered=bool(keys))
    end = begin + size
    token = _token_of(end, names[end - 1]) if len(names) > end else ""
    parts = []
    for name in names[begin:end]:
        found = listing.read(name, as_ints=wants_numbers(request))
        if found is not None:
            parts.append(json.dumps(found))
        await asyncio.sleep(0)
    fields = [f'"{listing.field}": [{", ".join(parts)}]'] if parts else []
    fields += [f'"nextPageToken": {json.dumps(token)}'] if token else []
    return json_body(f"{{{', '.join(fields)}}}".encode())


async def send_list(
    request: web.Request, field: str, items: AsyncIterator[str]
) -> web.StreamResponse:
    """Answer with ``items``, each a JSON text, as fast as the client reads them."""
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
    await response.prepare(request)
    await response.write(f'{{"{field}": ['.encode())
    comma = ""
    async for item in items:
        await response.write(f"{comma}{item}".encode())
        comma = ", "
        await asyncio.sleep(0)
    await response.write(b"]}")
    return response


async def _select_names(
    listing: Listing, names: list[str], terms: list[re.Match[str]], keys: list[re.Match[str]]
) -> list[str]:
    """The names that ``terms`` let pass, as ``keys`` order them."""
    found: dict[str, Json] = {}
    for name in names:
        entry = listing.read(name, as_ints=False)
        if entry is not None and all(_holds(term, entry) for term in terms):
            found[name] = entry
        await asyncio.sleep(0)
    names = list(found)
    for key in reversed(keys):
        path = key["path"]
        names.sort(key=lambda n: _rank(_value(found[n], path)), reverse=key["way"] == "desc")
    return names


def _place(request: web.Request) -> tuple[int, tuple[int, str] | None]:
    """How many entries a page has, and after which one it begins."""
    query = request.query
    wanted = whole_number(query.get("pageSize", query.get("page_size", "0")), "page_size")
    token = query.get("pageToken", query.get("page_token", ""))
    return min(wanted or _DEFAULT_SIZE, _MAX_SIZE), _read_token(token) if token else None


def _begin(
    listing: Listing, names: list[str], after: tuple[int, str] | None, *, is_ordered: bool
) -> int:
    """Where a page begins; the entry that the last one ended with may be gone."""
    if after is None:
        return 0
    position, last = after
    if last in names:
        return names.index(last) + 1
    if is_ordered:
        return max(0, position - 1)
    return sum((name > last) if listing.is_newest_first else (name < last) for name in names)


def _token_of(position: int, name: str) -> str:
    return base64.urlsafe_b64encode(f"after:{position}:{name}".encode()).decode()


def _read_token(token: str) -> tuple[int, str]:
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
    except (ValueError, binascii.Error):
        text = ""
    match = re.fullmatch(r"after:([0-9]{1,9}):(.+)", text)
    if match is None:
        raise ApiError(
            400, "Invalid value at 'page_token': it is not one that a former answer gave"
        )
    return int(match[1]), match[2]


def under(names: list[str], parent: str, kind: str) -> list[str]:
    """Those ``names`` that are of ``parent``; its location ``-`` means all locations."""
    start = parent.removesuffix("-") if parent.endswith("/locations/-") else f"{parent}/{kind}/"
    return [name for name in names if name.startswith(start) and f"/{kind}/" in name]


def _text_of(request: web.Request, name: str, field: str) -> str:
    text = request.query.get(name, request.query.get(field, "")).strip()
    if len(text) > _MAX_TEXT_CHARS:
        raise ApiError(400, f"Invalid value at '{field}': it is longer than {_MAX_TEXT_CHARS}")
    return text


def _terms(request: web.Request) -> list[re.Match[str]]:
    """The terms of ``filter``.

    Raises:
        ApiError: 400 for a filter that is none, or that is more than terms joined by AND.
    """
    terms = []
    text = _text_of(request, "filter", "filter")
    for part in re.split(r"\sAND\s", text) if text else ():
        match = _TERM.fullmatch(part.strip().removeprefix("(").removesuffix(")").strip())
        if match is None:
            raise ApiError(400, f"Invalid value at 'filter': {part[:100]!r} is not understood")
        terms.append(match)
    return terms


def _order(request: web.Request) -> list[re.Match[str]]:
    """The fields of ``orderBy``, the first the most important.

    Raises:
        ApiError: 400 for what is no order.
    """
    keys = []
    text = _text_of(request, "orderBy", "order_by")
    for part in text.split(",") if text else ():
        match = _ORDER.fullmatch(part.strip())
        if match is None:
            raise ApiError(400, f"Invalid value at 'order_by': {part[:100]!r} is not understood")
        keys.append(match)
    return keys


def _value(found: Json, path: str) -> object:
    """The value of a field whose path has names in snake or camel case, None if there is none."""
    value: object = found
    for name in path.split("."):
        first, *others = name.split("_")
        camel = first + "".join(other.capitalize() for other in others)
        value = value.get(name, value.get(camel)) if isinstance(value, dict) else None
    return value


def _rank(value: object) -> tuple[bool, float, str]:
    """Numbers as numbers and before texts; what is missing is an empty text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return False, float(value), ""
    return True, 0.0, "" if value is None else str(value)


def _holds(term: re.Match[str], found: Json) -> bool:
    value = _value(found, term["path"])
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
