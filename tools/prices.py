"""Write what common models cost, as the generator knows it: `prices.py DAY`, a day such as 2026-11-29.

The figures are those of the locked `genai-prices`, as they are on that day: standard service, the first tier of a model
with several. A model that the package does not know is an error here, so that no name stands without a price.
"""

import json
import sys
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path

from genai_prices import Usage, calc_price

KNOWN = Path(__file__).resolve().parents[1] / "generator/fleetform/prices.json"
MODELS = {
    "anthropic": (
        "claude-3-5-haiku claude-3-5-sonnet claude-3-7-sonnet claude-sonnet-4 claude-sonnet-4-5 claude-sonnet-4-6 "
        "claude-sonnet-5 claude-sonnet-5-5 claude-haiku-4-5 claude-haiku-5-5 claude-opus-4 claude-opus-4-1 claude-opus-4-5 "
        "claude-opus-4-6 claude-opus-4-7 claude-opus-4-8 claude-opus-5 claude-opus-5-5"
    ),
    "google": (
        "gemini-2.0-flash gemini-2.0-flash-lite gemini-2.5-pro gemini-2.5-flash gemini-2.5-flash-lite gemini-3-flash-preview "
        "gemini-3-pro-preview gemini-3.1-flash-lite gemini-3.1-pro-preview gemini-3.5-flash gemini-3.5-flash-lite "
        "gemini-3.6-flash gemini-3.7-flash gemini-3.8-flash gemini-embedding-001 gemini-embedding-2"
    ),
    "openai": (
        "gpt-3.5-turbo gpt-4 gpt-4-turbo gpt-4o gpt-4o-2024-05-13 gpt-4o-mini gpt-4.1 gpt-4.1-mini gpt-4.1-nano gpt-5 gpt-5-mini "
        "gpt-5-nano gpt-5-pro gpt-5.1 gpt-5.2 gpt-5.4 gpt-5.4-mini gpt-5.4-nano gpt-5.5 gpt-6-luna gpt-6-sol gpt-6.1-sol "
        "gpt-6.1-terra o1 o3 o3-mini o3-pro o4-mini text-embedding-3-large text-embedding-3-small text-embedding-ada-002"
    ),
}
PARTS = {
    "inputPerMillion": Usage(input_tokens=1000),
    "outputPerMillion": Usage(output_tokens=1000),
    "cachedInputPerMillion": Usage(input_tokens=1000, cache_read_tokens=1000),
    "cacheWritePerMillion": Usage(input_tokens=1000, cache_write_tokens=1000),
}


def price(provider: str, model: str, day: date) -> dict[str, int | float]:
    """Return the price of a model in the words of `pricing`.

    What reads or writes a cache for the price of input is left out, and so is the output of embeddings, which costs nothing.
    """
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    found = {}
    for name, usage in PARTS.items():
        result = calc_price(
            usage, model_ref=model, provider_id=provider, genai_request_timestamp=at
        )
        usd = float(result.total_price * 1000)
        found[name] = int(usd) if usd.is_integer() else usd
    usual = found["inputPerMillion"]
    said = {"inputPerMillion": True, "outputPerMillion": found["outputPerMillion"] > 0}
    return {name: usd for name, usd in found.items() if said.get(name, usd != usual)}


def written(day: date) -> str:
    """Return the text of prices.json: a line for each model."""
    head = {"date": day.isoformat(), "source": f"genai-prices {version('genai-prices')}"}
    lines = [f" {json.dumps(name)}: {json.dumps(value)}," for name, value in head.items()]
    lines.append(' "models": {')
    for provider, names in MODELS.items():
        rows = ",\n".join(
            f"   {json.dumps(model)}: {json.dumps(price(provider, model, day))}"
            for model in sorted(names.split())
        )
        lines.append(f"  {json.dumps(provider)}: {{\n{rows}\n  }},")
    lines[-1] = lines[-1].removesuffix(",")
    return "\n".join(["{", *lines, " }", "}"]) + "\n"


def main() -> None:
    """Replace the prices."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    KNOWN.write_text(written(date.fromisoformat(sys.argv[1])), "utf-8")


if __name__ == "__main__":
    main()
