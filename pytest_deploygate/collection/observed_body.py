"""Puts a watched function in the place of a check's body: did it end, what did it return, what did it raise?"""

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Final, TypeAlias

import pytest

Body: TypeAlias = "Callable[..., object]"
_MARK: Final = "__deploygate_observed__"
"""Attribute of watched functions; wrappers of other plugins copy it, as functools.wraps does."""
_ASYNCHRONOUS: Final = (
    inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE | inspect.CO_ASYNC_GENERATOR
)


def observe_body(
    function: Body, ended: Callable[[object], None], raised: Body, *, is_plain: bool = False
) -> Body:
    """A function that does what ``function`` does; ``ended`` is told its result, ``raised`` its exception.

    ``is_plain`` says that it is known to be no asynchronous one.
    """
    if getattr(function, _MARK, False):
        return function
    is_plain = is_plain or _is_plain(function)
    if not is_plain and inspect.isasyncgenfunction(function):
        return function  # pytest fails it
    if not is_plain and inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(*arguments: object, **named: object) -> None:
            __tracebackhide__ = True
            try:
                ended(await function(*arguments, **named))
            except BaseException as error:
                raised(error)
                raise

        setattr(awaited, _MARK, True)
        return awaited

    def called(**arguments: object) -> object:
        __tracebackhide__ = True
        try:
            result = function(**arguments)
            ended(None if result is None or inspect.isawaitable(result) else result)
        except BaseException as error:
            raised(error)
            raise
        return result

    # what functools.wraps does and anybody looks at, at a tenth of the cost
    called.__wrapped__ = function  # type: ignore[attr-defined]  # as wraps sets it
    if attributes := getattr(function, "__dict__", None):
        called.__dict__.update(attributes)
    return called


def _is_plain(function: Body) -> bool:
    """Whether ``function`` is certain to be no asynchronous one; asking :mod:`inspect` costs ten times as much."""
    flags = getattr(getattr(function, "__code__", None), "co_flags", None)
    return flags is not None and not flags & _ASYNCHRONOUS


def observe_early(
    item: pytest.Item, ended: Callable[[object], None], raised: Body
) -> "Body | None":
    """Watch the bodies that other plugins or unittest take before pytest's own hook would be called with them.

    Returns:
        The body if it is left alone and is certain to be no asynchronous one.
    """
    if not isinstance(item, pytest.Function):
        return None
    parent = item.parent
    # a module, as of nearly all checks: isinstance() takes long to find that it is no class
    is_in_module = type(parent) is pytest.Module
    is_unittest = not is_in_module and isinstance(parent, pytest.Class) and _is_of_unittest(parent)
    function: Body = item.obj
    is_plain = _is_plain(function)
    is_coroutine = not is_plain and inspect.iscoroutinefunction(function)
    if not (is_unittest or is_coroutine):
        return function if is_plain else None
    item.obj = observe_body(function, ended, raised)
    if is_unittest and is_coroutine:
        setattr(item.instance, item.name, item.obj)  # unittest itself looks it up there
    return None


def _is_of_unittest(parent: pytest.Class) -> bool:
    """Whether ``parent`` is a ``unittest.TestCase``, whose methods unittest calls by itself."""
    # a class of its kind cannot be there where it was not loaded
    unittest = sys.modules.get("unittest")
    return unittest is not None and issubclass(parent.obj, unittest.TestCase)


def is_skip(raised: BaseException | None) -> bool:
    """Whether ``raised`` skips a check; None skips nothing."""
    if isinstance(raised, pytest.skip.Exception):
        return True
    unittest = sys.modules.get("unittest")
    return unittest is not None and isinstance(raised, unittest.SkipTest)
