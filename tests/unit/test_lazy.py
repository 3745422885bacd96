"""Patterns that are compiled when they are first used are patterns, all of them."""

import importlib
import pkgutil
import re

import fleetform
from fleetform import lazy


def test_a_pattern_is_compiled_once_and_when_it_is_used(monkeypatch):
    made = []
    compiled = re.compile
    monkeypatch.setattr(re, "compile", lambda *given: made.append(given) or compiled(*given))
    pattern = lazy.regex(r"a(b+)", re.IGNORECASE)
    assert made == []
    assert pattern.fullmatch("ABB")[1] == "BB"
    assert [match[1] for match in pattern.finditer("ab abbb")] == ["b", "bbb"]
    assert pattern.pattern == r"a(b+)"
    assert made == [(r"a(b+)", re.IGNORECASE)]


def test_every_pattern_can_be_compiled():
    found = 0
    for info in pkgutil.walk_packages(fleetform.__path__, "fleetform."):
        if info.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(info.name)).values():
            if isinstance(value, lazy._Lazy):
                assert isinstance(value._compiled, re.Pattern)
                found += 1
    assert found > 20
