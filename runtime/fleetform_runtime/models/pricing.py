"""Costs of tokens: only from configured prices, never guessed."""

from fleetform_runtime.messages import Usage
from fleetform_runtime.sections.model import Model


def cost(model: Model, usage: Usage) -> float | None:
    """Return USD, or None if the price is unknown."""
    if model.pricing is None:
        return None
    return (
        usage.input_tokens * model.pricing.input_per_million
        + usage.output_tokens * model.pricing.output_per_million
    ) / 1_000_000
