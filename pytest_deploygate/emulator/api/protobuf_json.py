"""The JSON of Google's REST APIs: messages in and out, field masks, error answers.

Bodies are read into the official protobuf messages, so that unknown fields and wrong types are refused as the platform
refuses them, and masks have the platform's meaning. What is large is read and written in a thread, so that other
requests are answered meanwhile.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from json import decoder, scanner
from typing import Any, NoReturn, cast

from aiohttp import web
from google.protobuf import field_mask_pb2, json_format
from google.protobuf.message import Message

from pytest_deploygate.emulator.api.tomorrow import TOMORROW, without_future

Json = dict[str, object]
_MOST_DIGITS = 18
MAX_BODY_BYTES = 10 * 1024 * 1024
"""Of a request to an API of Google ("Request payload size exceeds the limit: 10485760 bytes.")."""
LARGE_BYTES = 64 * 1024
"""From here on JSON is not read or written by the event loop's own thread."""
MAX_RESOURCE_BYTES = 1024 * 1024
"""Of one function, service or policy as JSON; Google's limits of the single fields are below it."""
_MOST_FIELDS = 10_000

_STATUS_OF = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    412: "FAILED_PRECONDITION",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""``google.rpc.Code`` names for HTTP codes (google/rpc/code.proto); 409 and 400 have others as well."""


class ApiError(Exception):
    """An error answer: HTTP code, ``google.rpc`` status name and message."""

    def __init__(
        self, http: int, message: str, *, status: str = "", retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.http = http
        self.status = status or _STATUS_OF.get(http, "UNKNOWN")
        self.message = message
        self.retry_after_s = retry_after_s

    def response(self) -> web.Response:
        """The answer as Google's APIs give it."""
        error = {"code": self.http, "message": self.message, "status": self.status}
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        return web.json_response({"error": error}, status=self.http, headers=headers)


def not_found_error(name: str) -> ApiError:
    """404 for the resource called ``name``."""
    return ApiError(404, f"Resource '{name}' was not found")


def too_large_error(limit_bytes: int) -> ApiError:
    """413 for a body above ``limit_bytes``."""
    return ApiError(413, f"Request payload size exceeds the limit: {limit_bytes} bytes.")


def as_json(message: Message, *, enums_as_ints: bool = False) -> Json:
    """``message`` in the JSON form of protobuf, without fields that have their default value."""
    found: Json = json_format.MessageToDict(message, use_integers_for_enums=enums_as_ints)
    return found


def wants_numbers(request: web.Request) -> bool:
    """Whether the client asks for enums as numbers, as the official ones do."""
    return "enum-encoding=int" in request.query.get("$alt", "")


async def answer(request: web.Request, message: Message) -> web.Response:
    """Answer with ``message``, enums as the client wants them."""

    def write() -> bytes:
        return json.dumps(as_json(message, enums_as_ints=wants_numbers(request))).encode()

    is_large = message.ByteSize() > LARGE_BYTES
    body = await asyncio.to_thread(write) if is_large else write()
    return json_body(body)


def json_body(body: bytes) -> web.Response:
    """An answer whose JSON is written already."""
    return web.Response(body=body, content_type="application/json", charset="utf-8")


def parse_json(body: bytes, *, is_loop_beside: bool = True) -> object:
    """The JSON in ``body``; nothing at all is an empty object.

    Args:
        body: of a request.
        is_loop_beside: what is large is read slowly, since the event loop runs in another thread of this process.

    Raises:
        ApiError: 400 if it is none, is nested too deeply, or holds what is no text, as half a surrogate pair.
    """
    try:
        found = (
            _reader(is_slow=is_loop_beside and len(body) > LARGE_BYTES).decode(
                body.decode(json.detect_encoding(body))
            )
            if body.strip()
            else {}
        )
        if b"\\u" in body or b"\xed" in body:  # only there can half of a pair be
            for part in json.JSONEncoder(ensure_ascii=False).iterencode(found):
                part.encode()
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"Invalid JSON payload received. {_reason(error)}") from error
    return cast("object", found)


def _reader(*, is_slow: bool) -> json.JSONDecoder:
    """The slow one is in Python, not in C, since the interpreter lets other threads run between its steps."""
    reader = json.JSONDecoder(parse_constant=_refuse_constant)
    if is_slow:
        reader.parse_object = _parse_object  # type: ignore[attr-defined]
        reader.parse_array = decoder.JSONArray  # type: ignore[attr-defined]
        reader.scan_once = scanner.py_make_scanner(reader)  # type: ignore[attr-defined]
    return reader


class _CountedKeys:
    """The keys of one object as the parser keeps them, up to ``_MOST_FIELDS``.

    What is larger is refused while it is read: to free it afterwards stops the interpreter, too.
    """

    def __init__(self, known: dict[str, str]) -> None:
        self._known = known
        self._count = 0

    def setdefault(self, key: str, value: str) -> str:
        self._count += 1
        if self._count > _MOST_FIELDS:
            raise ValueError(f"An object has more than {_MOST_FIELDS} fields.")
        return self._known.setdefault(key, value)


def _parse_object(*arguments: Any) -> tuple[Json, int]:
    *before, known = arguments
    found: tuple[Json, int] = decoder.JSONObject(*before, _CountedKeys(known))  # type: ignore[attr-defined]
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"Unexpected token: {name}")


def _reason(error: Exception) -> str:
    """What to say of ``error``; one that is long quotes what was sent."""
    if isinstance(error, RecursionError):
        return "It is nested too deeply."
    if isinstance(error, UnicodeEncodeError):
        return "It holds half of a surrogate pair."
    return str(error)[:500].encode("utf-8", "replace").decode()


def whole_number(text: str, name: str) -> int:
    """A number of a query, not negative.

    Raises:
        ApiError: 400 if it is none, or longer than any that could be meant.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise ApiError(400, f"Invalid value at '{name}': {text[:100]!r} is not a whole number")
    return int(text)


async def read_value(request: web.Request) -> object:
    """The body as JSON of any kind; an empty body is an empty object.

    Raises:
        ApiError: 400 if it is none, 413 if it is too large.
    """
    content = await request.read()
    if len(content) > MAX_RESOURCE_BYTES:
        raise too_large_error(MAX_RESOURCE_BYTES)
    is_large = len(content) > LARGE_BYTES
    return await asyncio.to_thread(parse_json, content) if is_large else parse_json(content)


async def read_json(request: web.Request) -> Json:
    """The body as a JSON object; an empty body is an empty object.

    Raises:
        ApiError: 400 if it is not, 413 if it is too large.
    """
    found = await read_value(request)
    if not isinstance(found, dict):
        raise ApiError(400, "Invalid JSON payload received. An object is expected.")
    if request.app.get(TOMORROW):
        return {key: without_future(value) for key, value in found.items()}
    return found


async def read_message(request: web.Request, cls: Callable[[], Message]) -> Message:
    """The body as a message of class ``cls``.

    Raises:
        ApiError: 400 for no JSON, an unknown field or a value of the wrong type.
    """
    body = await read_json(request)
    if len(await request.read()) > LARGE_BYTES:
        return await asyncio.to_thread(_message_of, body, cls)
    return _message_of(body, cls)


def _message_of(body: Json, cls: Callable[[], Message]) -> Message:
    message = cls()
    try:
        json_format.ParseDict(body, message)
    except (
        json_format.ParseError,
        ValueError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:  # the library raises all of these for values that it did not expect
        raise ApiError(400, f"Invalid JSON payload received. {_reason(error)}") from error
    return message


def read_mask(request: web.Request, message: Message) -> tuple[str, ...]:
    """Paths of ``updateMask`` by the names of the fields; empty if the request has none or ``*``.

    Google takes a mask in snake case, in camel case and mixed (gcloud and the npm clients send such).

    Raises:
        ApiError: 400 for a path that ``message`` does not have.
    """
    text = request.query.get("updateMask", request.query.get("update_mask", ""))
    if text in {"", "*"}:
        return ()
    parts = dict.fromkeys(part.strip() for part in text.split(","))
    return tuple(dict.fromkeys(_field_path(part, message, text) for part in parts))


def _field_path(path: str, message: Message, text: str) -> str:
    descriptor = message.DESCRIPTOR
    names = []
    for part in path.split("."):
        fields = descriptor.fields if descriptor is not None else ()
        field = next((f for f in fields if part in {f.name, f.json_name, f.name.rstrip("_")}), None)
        if field is None:
            shown = text[:200]
            raise ApiError(
                400, f"Invalid value at 'update_mask': {shown!r} names a field that does not exist"
            )
        names.append(field.name)
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        descriptor = None if is_map else field.message_type
    return ".".join(names)


def merge(source: Message, target: Message, paths: Iterable[str]) -> None:
    """Set the fields ``paths`` of ``target`` to what ``source`` has; a field that it lacks is cleared."""
    mask = field_mask_pb2.FieldMask(paths=list(paths))
    whole = type(source)()
    whole.CopyFrom(source)
    for path in (
        mask.paths
    ):  # a parent that the source lacks would otherwise keep its fields from being cleared
        parent = whole
        for name in path.split(".")[:-1]:
            parent = getattr(parent, name)
            parent.SetInParent()
    mask.MergeMessage(whole, target, replace_message_field=True, replace_repeated_field=True)


def touches(paths: Iterable[str], field: str) -> bool:
    """Whether one of ``paths`` is ``field``, or lies in or around it."""
    return any(
        path == field or path.startswith(f"{field}.") or field.startswith(f"{path}.")
        for path in paths
    )
