"""Tuples of our own are those of typing, but for the time that their classes take."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
import typing

import pytest

import fleetform
from fleetform import records

SHAPES = {
    "plain": "a: int\n    b: str",
    "defaults": "a: int\n    b: str = 'x'\n    c: tuple[Missing, ...] = ()",
    "no fields": "pass",
    "methods": '''"""What it is."""
    a: int
    b: int = 2
    """Of the field before."""

    @property
    def total(self) -> int:
        """Return the sum."""
        return self.a + self.b

    @classmethod
    def of(cls, text: str) -> Made:
        return cls(*map(int, text.split()))

    @staticmethod
    def three() -> int:
        return 3

    def __str__(self) -> str:
        return f"<{self.total}>"''',
}


def made(body: str, base: type) -> type:
    scope = {"Base": base, "typing": typing, "__name__": __name__}
    exec(f"from __future__ import annotations\nclass Made(Base):\n    {body}\n", scope)
    return scope["Made"]


@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES)
def test_a_record_is_a_named_tuple(body):
    ours, theirs = made(body, records.NamedTuple), made(body, typing.NamedTuple)
    assert ours.__mro__[1:] == theirs.__mro__[1:] == (tuple, object)
    for name in (
        "_fields",
        "_field_defaults",
        "__doc__",
        "__module__",
        "__qualname__",
        "__match_args__",
    ):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert [*ours.__annotations__] == [*theirs.__annotations__]
    assert {*vars(ours)} == {*vars(theirs)} - {"__orig_bases__"}
    values = range(len(ours._fields))
    assert repr(ours(*values)) == repr(theirs(*values))
    assert str(ours(*values)) == str(theirs(*values))
    assert ours(*values) == theirs(*values)


def test_a_record_has_what_its_class_says():
    record = made(SHAPES["methods"], records.NamedTuple)
    assert (record.of("1 5").total, record(1).total, record.three()) == (6, 3, 3)
    with pytest.raises(TypeError):
        record()


@pytest.mark.parametrize("base", [records.NamedTuple, typing.NamedTuple])
def test_defaults_come_last(base):
    with pytest.raises(TypeError, match="default"):
        made("a: int = 1\n    b: int", base)


@pytest.mark.parametrize("base", [records.NamedTuple, typing.NamedTuple])
def test_what_tuples_are_made_of_is_not_overwritten(base):
    with pytest.raises(AttributeError, match="overwrite"):
        made("a: int\n    def _asdict(self) -> dict: return {}", base)


def test_records_are_sent_to_other_processes():
    from fleetform.targets import BY_NAME

    target = BY_NAME["helm"]
    assert pickle.loads(pickle.dumps(target)) == target
    assert type(pickle.loads(pickle.dumps(target))) is type(target)


def test_no_module_makes_them_another_way():
    """Generic ones are typing's: few, and more is done there than is worth repeating."""
    found = set()
    for info in pkgutil.walk_packages(fleetform.__path__, "fleetform."):
        if info.name.endswith("__main__") or info.name == "fleetform.records":
            continue
        module = importlib.import_module(info.name)
        if vars(module).get("NamedTuple") is typing.NamedTuple:
            found.add(info.name)
    assert found == {"fleetform.kinds", "fleetform.resolve.resolved"}
