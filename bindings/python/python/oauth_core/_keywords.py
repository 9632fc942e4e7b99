"""Errors for unknown keyword arguments name the nearest known one, as Python 3.13 does for functions written in Python."""

from __future__ import annotations

from . import _native  # pyright: ignore[reportPrivateUsage]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, TypeVar

    _Class = TypeVar("_Class", bound=type)

# What is usually answered from memory, in about a microsecond. The wrapper takes some 160 ns, which is little only beside a request.
_FROM_MEMORY = ("token", "atoken", "verify", "averify", "verify_access_token", "averify_access_token")

_MARK = " got an unexpected keyword argument "


def _name_nearest(error: TypeError, function: Callable[..., Any], args: tuple[object, ...], keywords: Mapping[str, object]) -> None:
    """Adds the nearest keyword argument of a function to the error of calling it, if that was about an unknown one."""
    trace = error.__traceback__
    text = str(error)
    unknown = text.partition(_MARK)[2].strip("'")
    # An error from within, such as one of a hook, has a longer traceback.
    if unknown not in keywords or (trace is not None and trace.tb_next is not None):
        return
    import difflib
    import inspect

    parameters = list(inspect.signature(function).parameters.values())[len(args) :]
    by_keyword = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    free = [parameter.name for parameter in parameters if parameter.kind in by_keyword and parameter.name not in keywords]
    nearest = difflib.get_close_matches(unknown, free, 1)
    if free:
        error.args = (f"{text}; perhaps {nearest[0]}" if nearest else f"{text}; there are {', '.join(free)}",)


def _naming(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose error for an unknown keyword argument names the nearest one."""

    def call(*args: Any, **keywords: Any) -> Any:
        try:
            return function(*args, **keywords)
        except TypeError as error:
            _name_nearest(error, function, args, keywords)
            raise

    call.__name__, call.__qualname__, call.__doc__ = function.__name__, function.__qualname__, function.__doc__
    call.__module__ = getattr(function, "__module__", None) or "oauth_core"
    call.__wrapped__ = function  # type: ignore[attr-defined]
    return call


class Constructor:
    """``__new__`` of a subclass of a native class, which cannot have another one itself.

    ``inspect`` reads the signature of an object with ``__get__`` as it reads that of a native function.
    """

    def __init__(self, native: type) -> None:
        self.__name__ = "__new__"
        self.__text_signature__ = (native.__text_signature__ or "()").replace("(", "($type, ", 1)
        self._make: Callable[..., Any] = native.__new__

    def __get__(self, instance: object, owner: type) -> Constructor:
        return self

    def __call__(self, cls: type, /, *args: Any, **keywords: Any) -> Any:
        _wrap_waiting()
        try:
            return self._make(cls, *args, **keywords)
        except TypeError as error:
            _name_nearest(error, cls, args, keywords)
            raise


def _has_keywords(function: object) -> bool:
    signature = getattr(function, "__text_signature__", None)
    return signature is not None and ("=" in signature or "*" in signature)


def name_keywords(cls: _Class) -> _Class:
    """Wraps the methods of a class, once there is a client: an import has no time for it."""
    if _waiting is None:
        _wrap_methods(cls)
    else:
        _waiting.append(cls)
    return cls


def _wrap_waiting() -> None:
    global _waiting
    waiting, _waiting = _waiting, None
    for cls in waiting or ():
        _wrap_methods(cls)


def _wrap_methods(cls: type) -> None:
    """Wraps the public methods of a class that have keyword arguments; none of them is a coroutine function."""
    members: dict[str, Any] = dict(vars(cls))
    for name, member in members.items():
        if (name.startswith("_") and name != "__init__") or name in _FROM_MEMORY:
            continue
        kind = type(member).__name__
        if kind == "staticmethod" and _has_keywords(member.__func__):
            setattr(cls, name, staticmethod(_naming(member.__func__)))
        elif kind == "method_descriptor" and _has_keywords(member):
            setattr(cls, name, _naming(member))
        elif kind == "function" and member.__code__.co_kwonlyargcount > 0:
            setattr(cls, name, _naming(member))


_members: dict[str, Any] = dict(vars(_native))
_waiting: list[type] | None = [member for member in _members.values() if isinstance(member, type)]
for _name, _member in _members.items():
    if not isinstance(_member, type) and _has_keywords(_member):
        setattr(_native, _name, _naming(_member))
