"""Pages of a listing."""

from aiohttp import web

from pytest_deploygate.emulator.api.protobuf_json import ApiError

_DEFAULT_SIZE = 100
_MAX_SIZE = 1000


def page(request: web.Request, names: list[str]) -> tuple[list[str], str]:
    """The part of the sorted ``names`` that ``pageSize`` and ``pageToken`` ask for, and the next token.

    Raises:
        ApiError: 400 for a size that is no number.
    """
    text = request.query.get("pageSize", "0")
    if not text.isdigit():
        raise ApiError(400, f"Invalid value at 'page_size': {text!r}")
    size = min(int(text) or _DEFAULT_SIZE, _MAX_SIZE)
    token = request.query.get("pageToken", "")
    rest = [name for name in names if name > token]
    return rest[:size], rest[size - 1] if len(rest) > size else ""
