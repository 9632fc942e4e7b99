"""``Record``: the base class of the results in _records.py. They are immutable, and repr shows no secrets or personal data."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar

    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_):
        """A stand-in for `typing.dataclass_transform`, whose module is slow to import."""
        return lambda kind: kind


def json_text(value: object) -> str | None:
    """The JSON text of a list or an object, as the native half expects it."""
    if value is None:
        return None
    import json

    return json.dumps(value)


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Record:
    """A result with immutable members, in the order of their definition.

    The members of a native result are converted when they are first read: most callers read one or two, and
    converting a time or a list of claims takes longer than everything else.
    """

    __slots__: tuple[str, ...] = ("_native",)
    _absent: ClassVar[dict[str, Any]] = {}
    _secrets: ClassVar[frozenset[str]] = frozenset()
    _personal: ClassVar[frozenset[str]] = frozenset()
    _records: ClassVar[dict[str, type[Record]]] = {}

    if not TYPE_CHECKING:

        def __init__(self, **members):
            """Creates a record from its members, for tests of applications."""
            for name in self.__slots__:
                if name not in members and name not in self._absent:
                    raise TypeError(f"{type(self).__name__} needs {name}")
                value = members.pop(name, self._absent.get(name))
                object.__setattr__(self, name, dict(value) if isinstance(value, dict) else value)
            if members:
                raise TypeError(f"{type(self).__name__} has no {', '.join(members)}")

        def __getattr__(self, name):
            try:
                at = self.__slots__.index(name)
            except ValueError:
                raise AttributeError(f"{type(self).__name__} has no {name}") from None
            value = self._native.member(at)
            if value is not None and (kind := self._records.get(name)):
                value = kind(**dict(zip(kind.__slots__, value)))
            object.__setattr__(self, name, value)
            return value

        def __setattr__(self, name, value):
            raise AttributeError(f"{type(self).__name__} is immutable: {name}")

        def __delattr__(self, name):
            raise AttributeError(f"{type(self).__name__} is immutable: {name}")

    @classmethod
    def _from_native(cls, native: object) -> Self:
        record = object.__new__(cls)
        object.__setattr__(record, "_native", native)
        return record

    def _members(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def __repr__(self) -> str:
        members = ", ".join(f"{name}={self._member_repr(name)}" for name in self.__slots__)
        return f"{type(self).__name__}({members})"

    def _member_repr(self, name: str) -> str:
        value: dict[str, Any] | str | None = getattr(self, name)
        if name in self._secrets:
            return "[redacted]"
        if name in self._personal and value is not None:
            return "[personal]"
        # Only the names of members that the server chose: their values are mostly personal data.
        return f"{{{', '.join(map(repr, value))}}}" if isinstance(value, dict) else repr(value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record) or type(other) is not type(self):
            return NotImplemented
        return self._members() == other._members()

    __hash__ = None  # type: ignore[assignment]

    def __copy__(self) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if self._secrets:
            raise TypeError(f"{type(self).__name__} cannot be pickled, because it contains secrets")
        return _rebuild, (type(self), self._members())


def _rebuild(kind: type[Record], members: dict[str, Any]) -> Record:
    return kind(**members)
