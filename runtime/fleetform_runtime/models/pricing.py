"""Costs of tokens: only from configured prices, never guessed."""

from fleetform_runtime.messages import Usage
from fleetform_runtime.sections.model import Model


def cost(model: Model, usage: Usage) -> float | None:
    """Return USD, or None if the price is unknown."""
    prices = model.pricing
    if prices is None:
        return None
    usual = prices.input_per_million
    read, written = prices.cached_input_per_million, prices.cache_write_per_million
    fresh = max(0, usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens)
    return (
        fresh * usual
        + usage.cached_tokens * (usual if read is None else read)
        + usage.cache_write_tokens * (usual if written is None else written)
        + usage.output_tokens * prices.output_per_million
    ) / 1_000_000
