"""What common models cost at their provider's own endpoint: data with a date, in prices.json.

A spec's `pricing` wins. Behind an endpoint of somebody's own (a gateway, a cloud, a GPU) the price is theirs, so it stays
unknown, as does that of a model that is not listed: nothing is guessed, and nothing unknown counts as 0.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from fleetform.lazy import regex
from fleetform.records import NamedTuple

_SNAPSHOT = regex(r"-(latest|20[0-9]{6}|20[0-9]{2}-[0-9]{2}-[0-9]{2})$")
"""The end of a name that means one state of a model, which costs what the model costs unless it is listed."""

Price = dict[str, float]
"""US dollars per million tokens, by the names of `pricing` in a spec; embeddings have `inputPerMillion` alone."""


class Prices(NamedTuple):
    """The prices of a day."""

    date: str
    models: dict[str, dict[str, Price]]
    """By provider and model."""


@cache
def known() -> Prices:
    """Return all prices."""
    found = json.loads(Path(__file__).with_name("prices.json").read_bytes())
    return Prices(found["date"], found["models"])


def of(provider: str, model: str) -> Price | None:
    """Return what a model costs at the provider's own endpoint, None if that is unknown."""
    models = known().models.get(provider, {})
    return models.get(model) or models.get(_SNAPSHOT.sub("", model))
