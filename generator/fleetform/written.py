"""YAML that Fleetform wrote, read back as plain data; what people write is parsed with its positions, by `parse`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fleetform.pyyaml import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""PyYAML is built without libyaml on some machines."""


def load(text: str | bytes) -> Any:
    """Return the document of a text.

    Raises:
        yaml.YAMLError: it is none.
    """
    return yaml.load(text, _LOADER)


def load_all(text: str | bytes) -> Iterator[Any]:
    """Yield each document of a text.

    Raises:
        yaml.YAMLError: it is none.
    """
    yield from yaml.load_all(text, _LOADER)
