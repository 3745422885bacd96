"""Embeddings of Bedrock and Google are asked in their own words: each passage once, questions told apart, errors said."""

import json
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from fleetform_runtime.knowledge import KnowledgeError, build
from fleetform_runtime.knowledge.foreign import MAKERS
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.knowledge import EMBEDDING_PROVIDERS, Embedding
from fleetform_runtime.sections.model import PROVIDERS
from runtime.tests.test_foreign import service_account
from runtime.tests.upstreams import upstream

pytestmark = [
    pytest.mark.anyio,
    # The providers' own libraries speak of what they will drop.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
TITAN, COHERE, NOVA = (
    "amazon.titan-embed-text-v2:0",
    "eu.cohere.embed-v4:0",
    "amazon.nova-2-multimodal-embeddings-v1:0",
)


@pytest.fixture(autouse=True)
def _identity(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-identity")


def vector(text):
    return [float(len(text)), 1.0, 0.5]


async def google(request):
    """Answer as Gemini's API, and as Vertex AI."""
    body = await request.json()
    if request.path.endswith(":batchEmbedContents"):
        rows = [vector(one["content"]["parts"][0]["text"]) for one in body["requests"]]
        return web.json_response({"embeddings": [{"values": row} for row in rows]})
    assert request.path.endswith(":predict"), request.path
    rows = [vector(one["content"]) for one in body["instances"]]
    statistics = {"token_count": 5, "truncated": False}
    return web.json_response(
        {"predictions": [{"embeddings": {"values": row, "statistics": statistics}} for row in rows]}
    )


async def bedrock(request):
    """Answer as the model that is asked: Titan and Nova take one text, Cohere's many."""
    body = await request.json()
    headers = {"x-amzn-bedrock-input-token-count": "4"}
    if "texts" in body:
        rows = [vector(text) for text in body["texts"]]
        return web.json_response({"id": "1", "embeddings": {"float": rows}}, headers=headers)
    if "inputText" in body:
        found: Any = {"embedding": vector(body["inputText"])}
    else:
        text = body["singleEmbeddingParams"]["text"]["value"]
        found = {"embeddings": [{"embeddingType": "TEXT", "embedding": vector(text)}]}
    return web.json_response(found, headers=headers)


@asynccontextmanager
async def asked(handler, provider, spent=lambda tokens, usd: None, **fields):
    async with upstream(handler) as server:
        settings = {"provider": provider, "endpoint": server.url, **fields}
        if provider == "google" and "project" not in fields:
            settings["apiKey"] = {"env": "KEY"}
        embedding = Embedding.model_validate_json(json.dumps(settings))
        made = build.embedder(embedding, Secrets({"KEY": "key-of-the-provider"}), spent)
        try:
            yield made, server
        finally:
            await made.close()


TEXTS = ["a", "bb", "ccc"]


@pytest.mark.parametrize("name", [TITAN, COHERE, NOVA])
async def test_bedrock_answers_for_each_text_in_order(name):
    spent = []
    fields = {"name": name, "region": "eu-central-1", "pricing": {"inputPerMillion": 2}}
    async with asked(bedrock, "bedrock", lambda *told: spent.append(told), **fields) as (
        it,
        server,
    ):
        assert await it.documents(TEXTS) == [vector(text) for text in TEXTS]
        assert await it.question("dddd") == vector("dddd")
    assert all(
        "/eu-central-1/bedrock/" in one["headers"]["Authorization"] for one in server.requests
    )
    tokens = 4 if name == COHERE else 12
    assert spent == [(tokens, pytest.approx(tokens * 2e-6)), (4, pytest.approx(8e-6))]


async def test_cohere_is_told_what_is_a_question():
    async with asked(bedrock, "bedrock", name=COHERE, region="eu-central-1", dimension=3) as (
        it,
        server,
    ):
        await it.documents(TEXTS)
        await it.question("a")
    kinds = [(body["input_type"], body["output_dimension"]) for body in server.bodies]
    assert kinds == [("search_document", 3), ("search_query", 3)]


async def test_google_answers_for_each_text_in_order():
    async with asked(google, "google", name="gemini-embedding-001", dimension=3, batchSize=2) as (
        it,
        server,
    ):
        assert await it.documents(TEXTS) == [vector(text) for text in TEXTS]
        assert await it.question("dddd") == vector("dddd")
    assert [len(body["requests"]) for body in server.bodies] == [2, 1, 1]
    kinds = {one["taskType"] for body in server.bodies for one in body["requests"]}
    assert kinds == {"RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY"}
    assert server.bodies[0]["requests"][0]["outputDimensionality"] == 3
    assert server.requests[0]["headers"]["x-goog-api-key"] == "key-of-the-provider"


@pytest.mark.parametrize(
    ("name", "requests"), [("text-embedding-005", 1), ("gemini-embedding-001", 3)]
)
async def test_a_google_project_is_asked_with_the_identity(tmp_path, monkeypatch, name, requests):
    spent = []

    async def handler(request):
        if request.path != "/token":
            return await google(request)
        token = {"access_token": "of-the-identity", "expires_in": 3600, "token_type": "Bearer"}
        return web.json_response(token)

    fields = {"name": name, "project": "acme-prod", "region": "europe-west4"}
    async with asked(handler, "google", lambda *told: spent.append(told), **fields) as (it, server):
        account = tmp_path / "account.json"
        account.write_text(service_account(f"{server.url}/token"))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
        assert await it.documents(TEXTS) == [vector(text) for text in TEXTS]
    last = server.requests[-1]
    assert "/projects/acme-prod/locations/europe-west4/" in last["path"]
    assert last["headers"]["Authorization"] == "Bearer of-the-identity"
    assert spent == [(15 // requests, None)] * requests


@pytest.mark.parametrize(
    ("provider", "fields"),
    [
        ("google", {"name": "gemini-embedding-001"}),
        ("bedrock", {"name": COHERE, "region": "eu-central-1"}),
    ],
)
@pytest.mark.parametrize(
    ("statuses", "requests", "says"),
    [
        ([503, 429], 3, ""),
        ([503, 503, 503], 3, "503"),
        ([400], 1, "no such model"),
        ([401], 1, "no such model"),
    ],
)
async def test_what_may_pass_is_asked_again_and_what_may_not_is_said(
    provider, fields, statuses, requests, says
):
    left = [*statuses]

    async def handler(request):
        if left:
            body = {"error": {"message": "no such model"}, "message": "no such model"}
            return web.json_response(body, status=left.pop(0))
        return await {"google": google, "bedrock": bedrock}[provider](request)

    async with asked(handler, provider, **fields) as (it, server):
        if says:
            with pytest.raises(KnowledgeError, match=says):
                await it.documents(["a"])
        else:
            assert await it.documents(["a"]) == [vector("a")]
    assert len(server.requests) == requests


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"provider": "bedrock", "name": "no.such-model", "region": "eu-west-1"}, "no.such-model"),
        ({"provider": "google", "name": "m", "dimension": 9}, "3 dimensions, not 9"),
    ],
)
async def test_what_cannot_be_right_is_said_by_name(fields, says):
    async with asked(google, **fields) as (it, _):
        with pytest.raises(KnowledgeError, match=says):
            await it.question("a")


async def test_fewer_vectors_than_texts_are_said():
    async def handler(request):
        return web.json_response({"embeddings": [{"values": [1.0]}]})

    async with asked(handler, "google", name="m") as (it, _):
        with pytest.raises(KnowledgeError, match="1 vectors for 3 texts"):
            await it.documents(TEXTS)


def test_every_provider_that_has_embeddings_is_asked_by_somebody():
    foreign = {name for name in EMBEDDING_PROVIDERS if PROVIDERS[name].module}
    assert foreign == {*MAKERS}
