"""What the runtime of this version is and supports, as exported to schemas/runtime.json.

Nothing is repeated here: the runtime exports the file, and `make lint` checks that it is current.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

_FACTS: dict[str, Any] = json.loads(
    Path(__file__).with_name("schemas").joinpath("runtime.json").read_bytes()
)

VERSION: int = _FACTS["contract"]
"""Version of agent.json."""
PROVIDERS: tuple[str, ...] = tuple(_FACTS["providers"])
ENDPOINT_REQUIRED = frozenset(
    name for name, facts in _FACTS["providers"].items() if facts["endpointRequired"]
)
"""Model providers without a public endpoint."""
KEYLESS = frozenset(name for name, facts in _FACTS["providers"].items() if facts["keyless"])
"""Model providers that may be used without an API key."""
REGIONS = frozenset(name for name, facts in _FACTS["providers"].items() if facts["regions"])
"""Model providers that are asked in a region of their cloud."""
PROJECTS = frozenset(name for name, facts in _FACTS["providers"].items() if facts["projects"])
"""Model providers that may be asked through a project of their cloud: with the pod's identity, in a region."""
IGNORED: dict[str, frozenset[str]] = {
    name: frozenset(facts["ignores"]) for name, facts in _FACTS["providers"].items()
}
"""Settings of a model that a provider has no place for."""
TRUNCATES = frozenset(name for name, facts in _FACTS["providers"].items() if facts["truncates"])
"""Model providers that leave out what exceeds a window without a word."""
RESERVED = frozenset(_FACTS["reserved"])
"""Members of a model's request that `extraBody` may not set."""
EXTRAS: dict[str, str] = {
    name: facts["extra"] for name, facts in _FACTS["providers"].items() if facts["extra"]
}
"""Extra of the runtime image that speaks a provider's protocol; the other providers need none."""
KNOWLEDGE_EXTRA = "knowledge"
"""Extra of the runtime image for vectors of documents, and for PDF."""
MONTY_EXTRA = "monty"
"""Extra of the runtime image for the engine of the same name, which runs programs."""
IMAGE_EXTRAS = tuple(dict.fromkeys((*EXTRAS.values(), KNOWLEDGE_EXTRA, MONTY_EXTRA)))
"""Every extra of the runtime image that a spec may need."""
STORES: tuple[str, ...] = tuple(_FACTS["stores"])
"""Types of stores that keep conversations."""
NO_MEMORY = "none"
"""The type of store that keeps nothing."""
BASE = "base"
"""What an agent itself is called beside its variants."""
STORE_PORTS: dict[str, int] = {
    name: facts["port"] for name, facts in _FACTS["stores"].items() if "port" in facts
}
"""Default ports of stores that are servers."""
SHARED_STORES = frozenset(name for name, facts in _FACTS["stores"].items() if facts["shared"])
"""Stores that several replicas may use."""
VECTOR_STORES: dict[str, int | None] = _FACTS["vectorStores"]
"""Stores of documents, each with its port if it is a server."""
TOOLS = frozenset(_FACTS["tools"])
"""Types of tools that the runtime has."""
EMBEDDED = "embedded"
"""The store of documents that is a file of the agent's own."""
EMBEDDINGS = frozenset(_FACTS["embeddings"])
"""Providers of models that turn texts into vectors."""
SESSION_TTL: int = _FACTS["sessionTtlSeconds"]
"""Seconds until an idle session expires, unless a policy says otherwise."""
HISTORY: int = _FACTS["conversationHistory"]
"""Messages that a model reads of a session, unless a policy says otherwise."""
HTTP_PORT: int = _FACTS["ports"]["http"]
METRICS_PORT: int = _FACTS["ports"]["metrics"]
"""Default path and port of the metrics."""
PROBES: tuple[str, str, str] = tuple(
    _FACTS["paths"][name] for name in ("startup", "ready", "alive")
)
"""Default paths of the checks."""
PROBE: tuple[str, ...] = tuple(_FACTS["commands"]["probe"])
"""Command in the image that checks whether the runtime is alive."""
WORK: tuple[str, ...] = tuple(_FACTS["routes"]["work"])
"""Routes on which runs begin, as metrics call them."""
ANSWERS: tuple[str, ...] = tuple(_FACTS["routes"]["answers"])
"""Those of which the time is that of an answer."""
REQUEST_BUCKETS: tuple[float, ...] = tuple(_FACTS["requestBuckets"])
"""Upper bounds of the histogram of the time of requests, in seconds."""
FOLDER: str = _FACTS["files"]["folder"]
"""Where the configuration is mounted."""
SETTINGS: str = _FACTS["files"]["settings"]
"""File name of the settings in that folder."""
SECRETS: str = _FACTS["files"]["secrets"]
"""Where secrets are mounted: `<folder>/<secret>/<key>`."""
SESSIONS: str = _FACTS["files"]["sessions"]
"""Default folder of conversations kept in files."""
KNOWLEDGE: str = _FACTS["files"]["knowledge"]
"""Default folder of embedded stores of documents."""
PIPES: str = _FACTS["files"]["pipes"]
"""Where a folder is mounted for each MCP server beside an agent, by its name."""
BESIDE: tuple[str, ...] = tuple(_FACTS["commands"]["beside"])
"""Command of such a server's container, before its folder and the words that start it."""
VARIABLES: dict[str, list[str]] = _FACTS["variables"]
"""Environment variables that the runtime reads, and when: always, tracing, bedrock."""


@cache
def metric_labels() -> frozenset[str]:
    """Return the labels of the runtime's metrics, of all together."""
    catalogue = json.loads(
        Path(__file__).with_name("schemas").joinpath("metrics.json").read_bytes()
    )
    return frozenset(
        label["name"] for metric in catalogue["metrics"] for label in metric.get("labels", ())
    ) | {"le"}
