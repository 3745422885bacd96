"""Facts about this runtime that the generator needs in addition to agent.json: schemas/runtime.json."""

from typing import Any, get_args

from pydantic import BaseModel

from fleetform_runtime.environment import ENVIRONMENT
from fleetform_runtime.metrics import ANSWERS, REQUEST_BUCKETS, WORK
from fleetform_runtime.places import (
    BESIDE,
    FILE,
    FOLDER,
    KNOWLEDGE,
    PIPES,
    PROBE,
    SECRETS,
    SESSIONS,
)
from fleetform_runtime.sections.base import members, word_of
from fleetform_runtime.sections.knowledge import EMBEDDING_PROVIDERS, VECTOR_STORES
from fleetform_runtime.sections.memory import Memory, MemoryPolicy, NoMemory, ServerMemory
from fleetform_runtime.sections.model import PROVIDERS, RESERVED
from fleetform_runtime.sections.serving import Health, Server
from fleetform_runtime.sections.tools import TOOL_TYPES
from fleetform_runtime.settings import SERVED_FEATURES, Settings


def facts() -> dict[str, Any]:
    """Return the facts as plain data, derived from the models where possible."""
    return {
        "contract": _default(Settings, "contract"),
        "features": sorted(SERVED_FEATURES),
        "providers": {
            name: {
                "endpointRequired": row.endpoint_required,
                "keyless": row.keyless,
                "extra": name if row.module else "",
                "regions": row.regions,
                "projects": row.projects,
                "ignores": list(row.ignores),
                "truncates": row.truncates,
            }
            for name, row in PROVIDERS.items()
        },
        "reserved": sorted(RESERVED),
        "tools": list(TOOL_TYPES),
        "vectorStores": VECTOR_STORES,
        "embeddings": list(EMBEDDING_PROVIDERS),
        "stores": {word_of(member): _store(member) for member in members(Memory)},
        "sessionTtlSeconds": int(_default(MemoryPolicy, "session_ttl_seconds")),
        "conversationHistory": _default(MemoryPolicy, "max_conversation_history"),
        "ports": {
            "http": _default(Server, "port"),
            "metrics": _default(Server, "metrics_port"),
        },
        "paths": {
            "startup": _default(Health, "startup_path"),
            "ready": _default(Health, "ready_path"),
            "alive": _default(Health, "live_path"),
        },
        "routes": {"work": sorted(WORK), "answers": sorted(ANSWERS)},
        "requestBuckets": list(REQUEST_BUCKETS),
        "commands": {"probe": list(PROBE), "beside": list(BESIDE)},
        "variables": {name: list(when) for name, when in ENVIRONMENT.items()},
        "files": {
            "folder": FOLDER,
            "settings": FILE,
            "secrets": SECRETS,
            "sessions": SESSIONS,
            "knowledge": KNOWLEDGE,
            "pipes": PIPES,
        },
    }


def _store(section: type[BaseModel]) -> dict[str, Any]:
    """Return a store server's port, and whether several replicas may use it."""
    server = issubclass(section, ServerMemory)
    return {
        "shared": server or section is NoMemory,
        **({"port": _default(section, "port")} if server else {}),
    }


def _default(section: type[BaseModel], name: str) -> Any:
    field = section.model_fields[name]
    return get_args(field.annotation)[0] if field.is_required() else field.default
