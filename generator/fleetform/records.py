"""Named tuples as `typing.NamedTuple` has them, made in a third of its time (docs/adr/0031-records.md).

Type checkers see `typing.NamedTuple` itself. It looks at the type of each field when a class is made, which nothing
here asks for, and every run makes more than a hundred classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["NamedTuple"]

if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from collections import namedtuple

    _OF_THE_STATEMENT = {"__annotations__", "__module__", "__qualname__"}
    _NOT_TO_BE_SAID_ANEW = frozenset(
        ("__new__", "__init__", "__slots__", "__getnewargs__", "_fields", "_field_defaults", "_make", "_replace", "_asdict")
    )  # fmt: skip

    class _Records(type):
        def __new__(
            cls, name: str, bases: tuple[type, ...], body: dict[str, Any]
        ) -> type[tuple[Any, ...]]:
            """Return the class of tuples that a class statement describes; TypeError if its defaults are not last."""
            if taken := body.keys() & _NOT_TO_BE_SAID_ANEW:
                raise AttributeError(f"{name}: cannot overwrite {', '.join(sorted(taken))}")
            fields = body.get("__annotations__", {})
            defaults = [body[field] for field in fields if field in body]
            if any(field in body for field in [*fields][: len(fields) - len(defaults)]):
                raise TypeError(f"{name}: a field without a default follows one that has a default")
            made = namedtuple(name, fields, defaults=defaults, module=body["__module__"])
            made.__annotations__, made.__qualname__ = fields, body["__qualname__"]
            for key in body.keys() - fields.keys() - _OF_THE_STATEMENT:
                setattr(made, key, body[key])
            return made

    NamedTuple = type.__new__(_Records, "NamedTuple", (), {})
