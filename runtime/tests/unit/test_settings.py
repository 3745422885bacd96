"""The contract refuses what a start must not ignore, and its schema says the same as its models."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from fleetform_runtime import schema
from fleetform_runtime.contract import facts
from fleetform_runtime.sections.base import members
from fleetform_runtime.sections.memory import Memory
from fleetform_runtime.sections.model import PROVIDERS
from fleetform_runtime.sections.serving import Server
from fleetform_runtime.sections.tools import Tool
from fleetform_runtime.settings import SERVED_FEATURES, Settings, load
from fleetform_runtime.store.build import BUILDERS as STORE_BUILDERS
from fleetform_runtime.tools.build import BUILDERS as TOOL_BUILDERS

ROOT = Path(__file__).parents[3]
IMPORT = re.compile(r"^\s*(?:from|import) fleetform\b", re.MULTILINE)
CONTRACT = schema.contract()
SECRET = {"file": "/var/run/secrets/fleetform/openai-api-key/api-key"}

MINIMAL: dict[str, Any] = {
    "contract": 1,
    "agent": {"name": "greeter", "namespace": "demo"},
    "prompt": {"system": {"file": "system-prompt.md"}},
    "model": {"provider": "openai", "name": "gpt-4-turbo"},
    "auth": {"type": "none"},
}
FULL: dict[str, Any] = {
    "contract": 1,
    "agent": {
        "name": "customer-support-agent",
        "namespace": "ai-agents",
        "displayName": "Customer Support Agent",
        "description": "Answers inquiries and creates tickets",
    },
    "prompt": {"system": {"file": "system-prompt.md"}},
    "model": {
        "provider": "openai",
        "name": "gpt-4-turbo",
        "id": "default",
        "temperature": 0.7,
        "topP": 0.9,
        "maxTokens": 4096,
        "frequencyPenalty": 0,
        "presencePenalty": 0,
        "apiKey": SECRET,
        "contextTokens": 128000,
        "pricing": {"inputPerMillion": 10, "outputPerMillion": 30},
        "timeouts": {"connectSeconds": 5, "firstTokenSeconds": 20, "requestSeconds": 90},
        "retries": 2,
        "tls": {"caFile": "/etc/ssl/own.pem"},
    },
    "models": [
        {"provider": "ollama", "name": "qwen3:30b", "endpoint": "http://ollama.ollama.svc:11434"},
        {"provider": "bedrock", "name": "anthropic.claude", "region": "eu-central-1"},
    ],
    "fallbacks": [
        {
            "provider": "azure",
            "name": "gpt-4o",
            "endpoint": "https://fleet.openai.azure.com",
            "apiVersion": "2024-10-21",
            "apiKey": {"env": "AZURE_KEY"},
            "headers": {"X-Team": "support", "Authorization": SECRET},
        }
    ],
    "tools": [
        {
            "type": "api",
            "name": "get-customer-info",
            "description": "Retrieve customer information by ID.\n",
            "endpoint": "http://customer-service.crm.svc:8080/api/v1/customers/{customer_id}",
            "method": "GET",
            "auth": {"type": "bearer", "token": SECRET},
            "timeoutSeconds": 10,
            "parameters": [
                {
                    "name": "customer_id",
                    "in": "path",
                    "type": "string",
                    "required": True,
                    "description": "Customer ID",
                    "pattern": "^[A-Z0-9]{8}$",
                },
                {"name": "tier", "in": "query", "type": "string", "enum": ["a", "b"]},
            ],
            "output": {"type": "object", "properties": {"id": {"type": "string"}}},
        },
        {
            "type": "api",
            "name": "create-ticket",
            "description": "Create a ticket.",
            "endpoint": "http://ticketing-service.support.svc:8080/api/v1/tickets",
            "method": "POST",
            "headers": {"Content-Type": "application/json"},
            "auth": {
                "type": "oauth2ClientCredentials",
                "tokenUrl": "https://login.example.org/token",
                "clientId": "support",
                "clientSecret": SECRET,
                "scopes": ["tickets"],
            },
            "retries": 3,
            "requiresApproval": True,
            "parameters": [
                {"name": "title", "in": "body", "type": "string", "required": True, "maxLength": 9}
            ],
        },
        {"type": "human", "name": "ask_lead", "description": "Ask the team lead."},
        {
            "type": "agent",
            "name": "researcher",
            "description": "Looks things up.",
            "url": "http://researcher.ai-agents.svc:8080",
            "auth": {"type": "header", "name": "X-API-Key", "value": SECRET},
        },
    ],
    "mcpServers": [
        {
            "name": "kubernetes-mcp",
            "transport": "streamable-http",
            "url": "http://kubernetes-mcp-server.mcp-servers:80/mcp",
            "capabilities": ["read", "write"],
            "requiresApproval": ["delete_pod"],
            "auth": {"type": "basic", "username": "agent", "password": SECRET},
        },
        {
            "name": "files",
            "transport": "stdio",
            "command": ["mcp-files", "/data"],
            "env": {"TOKEN": SECRET, "MODE": "ro"},
            "tools": ["read_file"],
            "requiresApproval": True,
        },
    ],
    "memory": {
        "type": "redis",
        "host": "redis-master.ai-data.svc.cluster.local",
        "username": "agent",
        "password": SECRET,
        "tls": {},
        "policy": {"sessionTtlSeconds": 3600, "maxConversationHistory": 50},
    },
    "auth": {"type": "apiKey", "keys": [{"name": "gateway", "secret": SECRET, "onBehalf": True}]},
    "limits": {
        "requestsPerMinute": 60,
        "tokensPerMinute": 100000,
        "dailyCostUsd": 25.5,
        "perUser": {"requestsPerMinute": 10},
        "concurrentRuns": 50,
        "runSeconds": 300,
    },
    "server": {"corsOrigins": ["https://support.example.org"], "shutdownGraceSeconds": 310},
    "health": {"livePath": "/health"},
    "observability": {
        "tracing": {
            "enabled": True,
            "provider": "langfuse",
            "endpoint": "http://langfuse.observability.svc:3000",
            "publicKey": SECRET,
            "secretKey": SECRET,
            "sampleRate": 1,
        },
        "logging": {"level": "info", "loggers": {"httpx": "warning"}, "format": "json"},
    },
}
OTHERS: list[dict[str, Any]] = [
    {"memory": {"type": "in-memory", "maxSessions": 10}},
    {"memory": {"type": "filesystem", "path": "/data/sessions"}},
    {
        "memory": {
            "type": "postgres",
            "host": "db",
            "database": "agents",
            "username": {"env": "DB_USER"},
            "password": SECRET,
            "schema": "support",
        }
    },
    {
        "auth": {
            "type": "oidc",
            "issuer": "https://login.example.org",
            "audience": "agents",
            "userClaim": "email",
        }
    },
    {"model": {"provider": "vllm", "name": "qwen", "endpoint": "https://vllm.example.org/v1"}},
    {"mcpServers": [{"name": "old", "transport": "sse", "url": "http://old.svc/sse"}]},
    {"observability": {"tracing": {"enabled": False}}},
]


def problems(document: object) -> list[str]:
    """Give what the JSON Schema says."""
    return [error.message for error in Draft202012Validator(CONTRACT).iter_errors(document)]


def read(document: object) -> Settings:
    return Settings.model_validate_json(json.dumps(document))


def changed(path: str, value: object) -> dict[str, Any]:
    """Give the full document with one value set; a number in the path is an index."""
    document = copy.deepcopy(FULL)
    *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    node: Any = document
    for step in parents:
        node = node[step]
    node[last] = value
    return document


@pytest.mark.parametrize("document", [MINIMAL, FULL, *[MINIMAL | other for other in OTHERS]])
def test_models_and_schema_accept(document):
    assert problems(document) == []
    settings = read(document)
    dumped = settings.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert dumped == document


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("contract", 2),
        ("extra", 1),
        ("agent.name", "Upper"),
        ("agent.namespace", ""),
        ("agent.displayName", None),
        ("prompt", "You are"),
        ("prompt.system", {"file": "../agent.json"}),
        ("prompt.system", {"file": "/etc/passwd"}),
        ("prompt.system", {"file": ".."}),
        ("model.provider", "mistral"),
        ("model.temperature", "0.7"),
        ("model.temperature", 2.5),
        ("model.topP", -0.1),
        ("model.top_p", 0.5),
        ("model.maxTokens", 0),
        ("model.maxTokens", 2**53 + 1),
        ("model.maxTokens", 1.5),
        ("model.apiKey", "sk-plain"),
        ("model.apiKey", {"file": "relative"}),
        ("model.apiKey", {"file": "/a", "env": "A"}),
        ("model.apiKey", {"value": "sk-plain"}),
        ("model.endpoint", "ftp://models"),
        ("model.endpoint", "https://user:secret@models"),
        ("model.endpoint", ""),
        ("models.0", {"provider": "vllm", "name": "qwen"}),
        ("tools.0.type", "retrieval"),
        ("tools.0.type", "code"),
        ("tools.0.name", "no spaces"),
        ("tools.0.method", "get"),
        ("tools.0.timeoutSeconds", 0),
        ("tools.0.parameters.0.in", "cookie"),
        ("tools.0.auth", {"type": "bearer", "token": "plain"}),
        ("tools.0.auth", {"type": "digest"}),
        ("tools.1.retries", 11),
        ("tools.2.endpoint", "http://x"),
        ("mcpServers.0.transport", "websocket"),
        ("mcpServers.0.capabilities", ["admin"]),
        ("mcpServers.1.command", []),
        ("mcpServers.1.url", "http://x"),
        ("memory.type", "milvus"),
        ("memory.password", "plain"),
        ("memory.policy.sessionTtlSeconds", "3600s"),
        ("auth", None),
        ("auth", {"type": "basic"}),
        ("auth", {"type": "apiKey", "keys": []}),
        ("auth", {"type": "oidc", "issuer": "https://login.example.org"}),
        ("limits.dailyCostUsd", -1),
        ("limits.runSeconds", None),
        ("server.port", 70000),
        ("server.port", "8080"),
        ("health.livePath", "health"),
        ("observability.tracing", {"enabled": True}),
        ("observability.tracing.sampleRate", 1.5),
        ("observability.logging.level", "INFO"),
        ("observability.logging.loggers", {"a": "verbose"}),
    ],
)
def test_models_and_schema_refuse(path, value):
    document = changed(path, value)
    assert problems(document)
    with pytest.raises(ValidationError):
        read(document)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("models.1.id", "default", "two models are named default"),
        ("tools.1.name", "ask_lead", "two tools are named ask_lead"),
        ("mcpServers.1.name", "kubernetes-mcp", "two MCP servers are named kubernetes-mcp"),
        ("server.port", 9090, "server.port and server.metricsPort are the same"),
        ("tools.0.endpoint", "http://crm/{id}", "differ: customer_id, id"),
        ("tools.1.endpoint", "http://crm/{id}", "differ: id"),
        ("fallbacks.0.headers", {"authorization": "Bearer x"}, "refer to a secret"),
        ("tools.0.output", {"default": None}, "null is not allowed here"),
        ("tools.0.parameters.1.enum", ["a", None], "null is not allowed here"),
        ("agent.description", None, "description is null; omit the field"),
    ],
)
def test_what_spans_several_fields_is_refused_by_name(path, value, message):
    with pytest.raises(ValidationError, match=message):
        read(changed(path, value))


@pytest.mark.parametrize("name", ["auth", "agent", "prompt", "model", "contract"])
def test_nothing_decides_in_place_of_the_author(name):
    document = {key: value for key, value in MINIMAL.items() if key != name}
    assert problems(document)
    with pytest.raises(ValidationError, match=name):
        read(document)


def test_the_defaults_are_those_of_the_documentation():
    settings = read(MINIMAL)
    assert settings.memory.type == "in-memory"
    assert (settings.server.port, settings.server.metrics_port) == (8080, 9090)
    assert settings.limits.body_bytes == 1_048_576
    assert settings.limits.requests_per_minute is None
    assert settings.observability.tracing.capture_content is False
    assert settings.model.key == "gpt-4-turbo"


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        read(MINIMAL).server.port = 1


def test_a_file_is_loaded_and_an_error_names_the_json_path(tmp_path):
    file = tmp_path / "agent.json"
    file.write_text(json.dumps(FULL), "utf-8")
    assert load(file).agent.name == "customer-support-agent"
    file.write_text(json.dumps(changed("tools.0.timeoutSeconds", -1)), "utf-8")
    with pytest.raises(ValidationError) as caught:
        load(file)
    assert [error["loc"] for error in caught.value.errors()] == [
        ("tools", 0, "api", "timeoutSeconds")
    ]


def nodes(node: object) -> Iterator[dict[str, Any]]:
    """Yield every object of the schema."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


def fields() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, model in [("agent.json", CONTRACT), *CONTRACT["$defs"].items()]:
        for field, body in model.get("properties", {}).items():
            target = body.get("$ref", "").removeprefix("#/$defs/")
            yield f"{name}.{field}", CONTRACT["$defs"].get(target, {}) | body


def test_the_schema_is_valid_self_contained_and_never_admits_null():
    jsonschema_rs.meta.validate(CONTRACT)
    for node in nodes(CONTRACT):
        assert node.get("type") != "null"
        assert node.get("$ref", "#/").startswith("#/")


def test_every_field_is_described_and_tells_its_default():
    for name, body in fields():
        description = body.get("description", "")
        assert description.endswith("."), name
        default = body.get("default")
        if isinstance(default, str | int | float) and default not in (False, "", "in-memory"):
            assert f"{default}" in description, name


def test_durations_are_numbers_of_seconds():
    for name, body in fields():
        assert not name.endswith(("timeout", "interval", "ttl", "Ms", "Minutes")), name
        if name.endswith("Seconds"):
            assert body["type"] == "number", name


def test_every_object_refuses_unknown_fields():
    models = [CONTRACT, *CONTRACT["$defs"].values()]
    assert all(model["additionalProperties"] is False for model in models if "properties" in model)


def test_the_contract_tells_the_generator_what_is_served():
    told = facts()
    assert told["features"] == sorted(SERVED_FEATURES)
    assert set(told["tools"]) == {"api", "retrieval", "code", "human", "agent"}
    assert told["stores"]["redis"] == {"shared": True, "port": 6379}
    assert told["stores"]["filesystem"] == {"shared": False}
    assert told["providers"]["azure"] == {
        "endpointRequired": True,
        "keyless": False,
        "extra": "",
        "regions": False,
        "projects": False,
        "ignores": ["promptCaching"],
        "truncates": False,
    }
    assert told["providers"]["google"]["extra"] == "google"
    assert [name for name, row in told["providers"].items() if row["truncates"]] == ["ollama"]
    assert told["ports"] == {"http": Server().port, "metrics": Server().metrics_port}


def test_the_runtime_imports_nothing_of_the_generator():
    for file in (ROOT / "runtime/fleetform_runtime").rglob("*.py"):
        assert not IMPORT.search(file.read_text("utf-8")), file


def test_every_store_and_every_type_of_tools_has_a_builder():
    assert {*STORE_BUILDERS} == {*members(Memory)}, "store/build.py"
    assert {*TOOL_BUILDERS} == {*members(Tool)}, "tools/build.py"


def test_the_lock_of_the_image_with_every_provider_has_every_extra():
    lock = (ROOT / "tools/lock.py").read_text("utf-8")
    assert all(f'"{name}"' in lock for name, row in PROVIDERS.items() if row.module)
