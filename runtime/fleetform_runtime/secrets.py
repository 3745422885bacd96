"""The values of secret references: files are read again when they change."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fleetform_runtime.forms import forms, is_telling
from fleetform_runtime.sections.base import SecretEnvironment, SecretFile

RECHECK_SECONDS = 1.0
"""Seconds for which a value may be older than its file."""

Reference = SecretFile | SecretEnvironment


class SecretMissingError(Exception):
    """A referenced secret cannot be read; the message contains the reference, never the value."""


class Secrets:
    """Reads secrets; during an incomplete rotation the last complete value is used."""

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self._clock = clock
        self._files: dict[str, tuple[float, tuple[int, int, int], str]] = {}
        self._seen: set[str] = set()
        self._known: tuple[str, ...] = ()

    def value(self, reference: Reference | str) -> str:
        """Return the value of a reference; plain text is returned as it is.

        Raises:
            SecretMissingError: it has never been readable.
        """
        if isinstance(reference, str):
            return reference
        if isinstance(reference, SecretEnvironment):
            return self._from_environment(reference.env)
        return self._from_file(reference.file)

    def learn_all(self, section: BaseModel) -> None:
        """Read the values of all readable references in a section."""
        for _, reference in references(section):
            with contextlib.suppress(SecretMissingError):
                self.value(reference)

    def known(self) -> tuple[str, ...]:
        """Return every value used so far, including previous ones, in all its forms, longest first."""
        return self._known

    def _from_environment(self, name: str) -> str:
        value = self._environment.get(name)
        if not value:
            raise SecretMissingError(f"the environment variable {name} is not set")
        return self.learn(value)

    def _from_file(self, path: str) -> str:
        now = self._clock()
        held = self._files.get(path)
        if held and now - held[0] < RECHECK_SECONDS:
            return held[2]
        try:
            value, stamp = _read(path, held)
        except (OSError, UnicodeDecodeError) as error:
            if held:
                return held[2]
            raise SecretMissingError(f"{path} cannot be read: {_why(error)}") from None
        if not value:
            if held:
                return held[2]
            raise SecretMissingError(f"{path} is empty")
        self._files[path] = (now, stamp, value)
        return self.learn(value)

    def learn(self, value: str) -> str:
        """Remember a value, so that it is redacted everywhere; return it."""
        if value not in self._seen and is_telling(value):
            self._seen.add(value)
            found = {*self._known, *forms(value)}
            self._known = tuple(sorted(found, key=lambda form: (-len(form), form)))
        return value


def _read(
    path: str, held: tuple[float, tuple[int, int, int], str] | None
) -> tuple[str, tuple[int, int, int]]:
    status = Path(path).stat()
    stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
    if held and held[1] == stamp:
        return held[2], stamp
    return Path(path).read_bytes().decode().removesuffix("\n").removesuffix("\r"), stamp


def _why(error: Exception) -> str:
    return error.strerror or "error" if isinstance(error, OSError) else "it is not UTF-8"


def references(node: Any, path: str = "$") -> Iterator[tuple[str, Reference]]:
    """Yield every secret reference below a section, with its JSON path."""
    if isinstance(node, SecretFile | SecretEnvironment):
        yield path, node
    elif isinstance(node, BaseModel):
        for name, field in type(node).model_fields.items():
            yield from references(getattr(node, name), f"{path}.{field.alias or name}")
    elif isinstance(node, Mapping):
        for name, value in node.items():
            yield from references(value, f"{path}.{name}")
    elif isinstance(node, tuple | list):
        for index, value in enumerate(node):
            yield from references(value, f"{path}[{index}]")
