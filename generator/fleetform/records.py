"""Named tuples as `typing.NamedTuple` has them, made in a twelfth of its time (docs/adr/0031-records.md).

Type checkers see `typing.NamedTuple` itself. It looks at the type of each field when a class is made, which nothing
here asks for, and compiles a constructor; every run makes more than a hundred classes.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

__all__ = ["NamedTuple"]

if TYPE_CHECKING:
    from typing import NamedTuple
else:
    # What a namedtuple's fields are: a property takes twice as long to read.
    from collections import _tuplegetter
    from functools import cache
    from types import CodeType, FunctionType

    def _make(cls: Any, iterable: Any) -> Any:
        """Make a new object from a sequence or iterable."""
        made = tuple.__new__(cls, iterable)
        if len(made) != len(cls._fields):
            raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")
        return made

    def _replace(self: Any, /, **values: Any) -> Any:
        """Return a new object in which the given fields have other values."""
        made = self._make(map(values.pop, self._fields, self))
        if values:
            raise ValueError(f"Got unexpected field names: {[*values]!r}")
        return made

    def _asdict(self: Any) -> dict[str, Any]:
        """Return a new dict from the fields' names to their values."""
        return dict(zip(self._fields, self, strict=True))

    def _repr(self: Any) -> str:
        """Return the class and its fields as they are written in a call."""
        fields = ", ".join(
            f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True)
        )
        return f"{type(self).__name__}({fields})"

    def _getnewargs(self: Any) -> tuple[Any, ...]:
        """Return a plain tuple, for copies and pickles."""
        return tuple(self)

    _OF_ALL = {
        "__slots__": (),
        "_make": classmethod(_make),
        "_replace": _replace,
        "_asdict": _asdict,
        "__repr__": _repr,
        "__getnewargs__": _getnewargs,
    }
    if sys.version_info >= (3, 13):
        _OF_ALL["__replace__"] = _replace
    _OF_EACH = {"__new__", "__init__", "_fields", "_field_defaults"}
    _NOT_TO_BE_SAID_ANEW = {*_OF_ALL, *_OF_EACH} - {"__repr__"}
    _field = cache(lambda number: _tuplegetter(number, f"Alias for field number {number}"))

    @cache
    def _constructor(count: int) -> CodeType:
        """Return the code of a constructor of so many fields: that of another class differs in their names alone."""
        names = "".join(f"_{number}, " for number in range(count))
        return eval(f"lambda _cls, {names}: _new(_cls, ({names}))").__code__  # noqa: S307 - numbers

    _SCOPE = {"_new": tuple.__new__, "__builtins__": {}, "__name__": __name__}

    class _Records(type):
        def __new__(
            cls, name: str, bases: tuple[type, ...], body: dict[str, Any]
        ) -> type[tuple[Any, ...]]:
            """Return the class of tuples that a class statement describes; TypeError if its defaults are not last."""
            if taken := body.keys() & _NOT_TO_BE_SAID_ANEW:
                raise AttributeError(f"{name}: cannot overwrite {', '.join(sorted(taken))}")
            fields = tuple(body.get("__annotations__", ()))
            defaults = {field: body[field] for field in fields if field in body}
            if [*defaults] != [*fields[len(fields) - len(defaults) :]]:
                raise TypeError(f"{name}: a field without a default follows one that has a default")
            code = _constructor(len(fields)).replace(
                co_name="__new__",
                co_qualname=f"{name}.__new__",
                co_varnames=("_cls", *fields),
            )
            new = FunctionType(code, _SCOPE, "__new__", tuple(defaults.values()))
            own = {
                "__doc__": f"{name}({', '.join(fields)})",
                "__annotations__": {},
                "__match_args__": fields,
                "_fields": fields,
                "_field_defaults": defaults,
                "__new__": new,
            }
            members = {field: _field(number) for number, field in enumerate(fields)}
            return type(name, (tuple,), _OF_ALL | own | body | members)

    NamedTuple = type.__new__(_Records, "NamedTuple", (), {})
