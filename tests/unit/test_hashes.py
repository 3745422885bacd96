"""Hashes are those of hashlib, whichever code makes them."""

import hashlib
import sys
from importlib import import_module

import pytest

from fleetform import hashes


@pytest.fixture
def loaded(monkeypatch):
    """A process in which nothing was hashed; yields what it loads of OpenSSL's."""
    asked = []
    monkeypatch.setattr(
        hashes._Hash, "_fast", staticmethod(lambda: asked.append("hashlib") or hashlib.sha256)
    )
    return asked


@pytest.mark.parametrize("data", [b"", b"fleet", b"\0" * 100_000, "✓".encode()])
def test_a_hash_is_that_of_hashlib(data):
    assert hashes.sha256(data) == hashes._Hash().digest(data) == hashlib.sha256(data).hexdigest()


def test_openssl_is_loaded_when_there_is_a_lot_to_hash(loaded):
    found = hashes._Hash()
    parts = [bytes([number % 256]) * 10_000 for number in range(100)]
    assert [found.digest(part) for part in parts] == [hashlib.sha256(p).hexdigest() for p in parts]
    assert loaded == ["hashlib"]


def test_a_little_is_hashed_without_it(loaded):
    found = hashes._Hash()
    for _ in range(100):
        found.digest(b"a" * 1_000)
    assert not loaded


def test_an_interpreter_without_code_of_its_own_has_openssls(monkeypatch, loaded):
    for name in hashes._OWN:
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ImportError):
            import_module(name)
    found = hashes._Hash()
    assert loaded == ["hashlib"]
    assert found.digest(b"fleet") == hashlib.sha256(b"fleet").hexdigest()
