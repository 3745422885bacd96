"""Own what tokens cost: the price of the specification, and nothing that is guessed."""

from fleetform_runtime.messages import Usage
from fleetform_runtime.sections.model import Model


def cost(model: Model, usage: Usage) -> float | None:
    """Return USD, or None where the price is not known."""
    if model.pricing is None:
        return None
    return (
        usage.input_tokens * model.pricing.input_per_million
        + usage.output_tokens * model.pricing.output_per_million
    ) / 1_000_000
