"""Filters of searches in documents, read by the generator; and what rules say of searches."""

import pytest

from fleetform.filters import FilterError, parsed
from tests.unit.test_agent_json import agent, document, made

FAQ = {"field": "category", "op": "==", "value": "faq"}
NEW = {"field": "year", "op": ">=", "value": 2024}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('category == "faq"', FAQ),
        ("category == 'faq'", FAQ),
        ('category == "faq" and year >= 2024', {"all": [FAQ, NEW]}),
        ('category == "faq" && year >= 2024', {"all": [FAQ, NEW]}),
        ('category == "faq" or (year >= 2024)', {"any": [FAQ, NEW]}),
        ('not category == "faq"', {"not": FAQ}),
        ('category in ["faq"]', FAQ),
        ('category not in ["faq"]', {"not": FAQ}),
        ("a == true", {"field": "a", "op": "==", "value": True}),
        ("a < -1.5", {"field": "a", "op": "<", "value": -1.5}),
        ('a == "it\'s \\"so\\" 한국"', {"field": "a", "op": "==", "value": 'it\'s "so" 한국'}),
    ],
)
def test_a_filter_is_read(text, found):
    assert parsed(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "category = 'faq'",
        "category",
        "== 1",
        "a == b",
        "a == 1 b == 2",
        "(a == 1",
        "a in []",
        "a == 1;",
        "(" * 99,
        "a == 'x",
    ],
)
def test_what_is_no_filter_is_refused_with_its_place(text):
    with pytest.raises(FilterError, match="at "):
        parsed(text)


def test_a_search_is_written_with_its_question_and_the_key_of_the_agents_model(tmp_path):
    retrieval = {
        "vectorStore": {"type": "embedded", "collection": "docs"},
        "embedding": {"provider": "openai", "model": "text-embedding-3-small", "dimension": 8},
        "search": {"filter": "year >= 2024"},
    }
    parameters = [{"name": "words", "required": True}, {"name": "kind", "field": "category"}]
    spec = {"type": "retrieval", "retrieval": retrieval, "parameters": parameters}
    mount = {"name": "docs", "mountPath": "/var/lib/fleetform-knowledge", "emptyDir": "1Gi"}
    key = {"name": "openai", "key": "api-key"}
    model = {"provider": "openai", "name": "gpt", "apiKeySecretRef": key}
    text = agent(tools=[{"name": "docs"}], volumes=[mount], model=model) + document(
        "Tool", "docs", spec
    )
    _, settings, problems = made(tmp_path, text)
    assert not [item for item in problems if item.severity == "error"]
    tool = settings["tools"][0]
    assert tool["question"] == "words"
    assert tool["parameters"][1] == {"name": "kind", "type": "string", "field": "category"}
    knowledge = tool["knowledge"]
    assert knowledge["search"] == {"mode": "hybrid", "topK": 5, "filter": NEW}
    assert knowledge["embedding"]["apiKey"] == {"file": "/var/run/secrets/fleetform/openai/api-key"}
