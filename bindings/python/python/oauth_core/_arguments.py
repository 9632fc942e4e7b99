"""Checks of arguments, for both halves of the package."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class ArgumentTypeError(TypeError):
    """A ``TypeError`` whose text names its argument.

    PyO3 adds that name as a note, which only a traceback of Python 3.11 shows. It is a plain ``TypeError`` to everybody
    else: in tracebacks, and once pickled.
    """

    def add_note(self, note: str, /) -> None:
        before, mark, name = note.partition("while processing ")
        if mark and not before:
            self.args = (f"argument {name}: {self}",)
        else:
            super().add_note(note)

    def __reduce__(self) -> tuple[type[TypeError], tuple[Any, ...]]:
        return TypeError, self.args


ArgumentTypeError.__module__, ArgumentTypeError.__qualname__ = "builtins", "TypeError"


def plain_function(hook: object) -> None:
    """Raises ``TypeError`` for anything but a plain function, such as a coroutine function, which nothing would run."""
    import inspect

    if not callable(hook):
        raise ArgumentTypeError(f"it must be a function, not {type(hook).__name__}")
    for function in (hook, type(hook).__call__):
        if inspect.iscoroutinefunction(function):
            raise ArgumentTypeError("it must be a plain function, not a coroutine function")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ArgumentTypeError("it must be a plain function, not a generator function")


def check_hooks(**hooks: object) -> None:
    """Raises ``TypeError`` that names the argument for a hook that is not a plain function."""
    for name, hook in hooks.items():
        if hook is None:
            continue
        try:
            plain_function(hook)
        except ArgumentTypeError as error:
            raise TypeError(f"argument '{name}': {error}") from None


def finished(name: str, result: object) -> None:
    """Raises ``TypeError`` if a hook returned a coroutine, which nothing would run. A task runs by itself."""
    if not (hasattr(result, "__await__") and hasattr(result, "send")):
        return
    result.close()  # type: ignore[attr-defined]  # Python would warn that it was never awaited
    raise TypeError(f"{name} returned a coroutine, which was not run: it must be a plain function")
