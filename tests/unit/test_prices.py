"""Prices of common models: data that its script writes, used where nobody says otherwise."""

import json
import re
from datetime import date

import pytest

from fleetform import prices
from tests.fleet import AGENT, ENVIRONMENT, fleetform, write
from tests.tools import module

tool = module("tools/prices.py")

MODEL = "  model: {provider: openai, name: gpt-4o-mini}\n"
CONFIG = re.compile(r"^  agent\.json: \|\n((?:    .*\n)+)", re.MULTILINE)


def test_the_prices_are_what_the_script_writes_on_their_day():
    text = tool.KNOWN.read_text("utf-8")
    assert tool.written(date.fromisoformat(prices.known().date)) == text, (
        "run tools/prices.py with today's date"
    )


def test_every_price_says_what_input_costs_and_every_model_that_answers_what_output_costs():
    for provider, models in prices.known().models.items():
        for name, price in models.items():
            assert price["inputPerMillion"] > 0, (provider, name)
            assert ("outputPerMillion" in price) is ("embedding" not in name)


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
    ],
)
def test_a_dated_name_costs_what_the_model_does_unless_it_is_listed(name, like):
    provider = "anthropic" if name.startswith("claude") else "openai"
    assert prices.of(provider, name) == prices.known().models[provider][like]


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("openai", "gpt-4o-audio"),
        ("openai", "gpt-4o-mini-2024"),
        ("openai", ""),
        ("azure", "gpt-4o"),
        ("vllm", "gpt-4o"),
        ("anthropic", "gpt-4o"),
        ("nobody", "gpt-4o"),
    ],
)
def test_what_is_not_listed_has_no_price(provider, name):
    assert prices.of(provider, name) is None


def configuration(folder, agent: str, environment: str = ENVIRONMENT) -> dict:
    write(folder, {"agents/helper.yaml": agent, "environments/prod.yaml": environment})
    done = fleetform("render", "--env", "prod", cwd=folder)
    assert done.code == 0, done.err
    text = (folder / "rendered/prod/default/helper.yaml").read_text("utf-8")
    return json.loads(CONFIG.search(text)[1])


OWN = "pricing: {inputPerMillion: 1, outputPerMillion: 2}"


@pytest.mark.parametrize(
    ("settings", "price"),
    [
        ("provider: openai, name: gpt-4o-mini", prices.of("openai", "gpt-4o-mini")),
        (f"provider: openai, name: gpt-4o-mini, {OWN}", {"inputPerMillion": 1, "outputPerMillion": 2}),
        ("provider: openai, name: gpt-4o-mini, endpoint: 'https://gateway.acme.example/v1'", None),
        ("provider: openai, name: text-embedding-3-small", None),
        ("provider: openai, name: nobody-knows", None),
        ("provider: google, name: gemini-2.5-flash, project: acme-agents, region: europe-west1", None),
    ],
)  # fmt: skip
def test_a_model_at_its_provider_has_the_known_price_and_the_spec_wins(settings, price, tmp_path):
    agent = re.sub(r"^  model: .*\n", f"  model: {{{settings}}}\n", AGENT, flags=re.MULTILINE)
    assert configuration(tmp_path, agent)["model"].get("pricing") == price
