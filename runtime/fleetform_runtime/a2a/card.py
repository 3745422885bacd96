"""The card: who an agent is, where and how it is asked, what it can do. One document for both versions."""

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from fleetform_runtime import __version__
from fleetform_runtime.a2a.errors import A2aError
from fleetform_runtime.a2a.names import HITL, JSON, SCHEMA, TEXT
from fleetform_runtime.runs.variants import without
from fleetform_runtime.sections.access import ApiKeyAuth, OidcAuth
from fleetform_runtime.settings import BASE, Settings
from fleetform_runtime.tools import Tool
from fleetform_runtime.tools.build import AgentTools

PATH = "/a2a"
BINDINGS = ("JSONRPC", "HTTP+JSON")
FILES = ("image/png", "image/jpeg", "image/webp", "image/gif", "application/pdf")


class Cards:
    """Writes the card. Tools are named to whoever may call the agent, and to nobody else."""

    def __init__(self, settings: Settings, tools: AgentTools) -> None:
        self._settings = settings
        self._tools = tools
        self._is_open = settings.auth.type == "none"

    def public(self) -> tuple[bytes, str]:
        """Return the card for everybody, and its entity tag."""
        body = orjson.dumps(self._card(self._listed() if self._is_open else ()))
        return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'

    def whole(self) -> dict[str, Any]:
        """Return the card for whoever has signed in.

        Raises:
            A2aError: nobody signs in, and the card for everybody is whole.
        """
        if self._is_open:
            raise A2aError("UnsupportedOperationError", "the public card is the whole card")
        return self._card(self._listed())

    def _listed(self) -> list[Tool]:
        """Return the agent's own tools; what only a variant has is no skill of every conversation."""
        lacks = without(self._settings, BASE)
        return [
            tool
            for tool in self._tools.listed()
            if tool.name not in lacks and tool.server not in lacks
        ]

    def _card(self, tools: Sequence[Tool]) -> dict[str, Any]:
        settings = self._settings
        agent, url = settings.agent, f"{base(settings)}{PATH}"
        name = agent.display_name or agent.name
        modes = [TEXT, JSON]
        schemes, required = _security(settings)
        return {
            "name": name,
            "description": agent.description or f"The agent {name}.",
            "version": __version__,
            "protocolVersion": "0.3.0",
            "url": url,
            "preferredTransport": BINDINGS[0],
            "additionalInterfaces": [{"url": url, "transport": item} for item in BINDINGS],
            "supportedInterfaces": [
                {"url": url, "protocolBinding": binding, "protocolVersion": version}
                for version in ("1.0", "0.3")
                for binding in BINDINGS
            ],
            "capabilities": {
                "streaming": True,
                "pushNotifications": False,
                "stateTransitionHistory": False,
                "extendedAgentCard": not self._is_open,
                "extensions": _extensions(settings),
            },
            "supportsAuthenticatedExtendedCard": not self._is_open,
            "defaultInputModes": [*modes, *FILES],
            "defaultOutputModes": modes,
            "skills": [_own(settings, name), *map(_skill, tools)],
            **({"securitySchemes": schemes} if schemes else {}),
            **(
                {
                    "security": [{item: []} for item in required],
                    "securityRequirements": [
                        {"schemes": {item: {"list": []}}} for item in required
                    ],
                }
                if required
                else {}
            ),
        }


def base(settings: Settings) -> str:
    """Return the URL of an agent as its callers know it, without a slash at its end."""
    if settings.a2a is not None:
        return settings.a2a.url.rstrip("/")
    return f"http://localhost:{settings.server.port}"


def _own(settings: Settings, name: str) -> dict[str, Any]:
    about = settings.agent.description or f"Talk to {name}."
    return {"id": settings.agent.name, "name": name, "description": about, "tags": ["chat"]}


def _skill(tool: Tool) -> dict[str, Any]:
    return {
        "id": tool.name,
        "name": tool.name,
        "description": tool.description,
        "tags": [tool.kind, *(["approval"] if tool.requires_approval else [])],
    }


def _extensions(settings: Settings) -> list[dict[str, Any]]:
    schema = {
        "uri": SCHEMA,
        "description": "The answer matches the JSON Schema in the message's metadata, and is a data part.",
        "required": False,
    }
    people = {
        "uri": HITL,
        "description": "People approve calls of tools, and answer questions.",
        "required": False,
    }
    return [schema, *([people] if settings.keeps else [])]


def _security(settings: Settings) -> tuple[dict[str, Any], list[str]]:
    """Return how callers sign in, each way as both versions say it, and the names of those that are enough."""
    auth = settings.auth
    if isinstance(auth, ApiKeyAuth):
        bearer = {"scheme": "Bearer"}
        header = {"name": "X-API-Key"}
        found = {
            "bearer": {"httpAuthSecurityScheme": bearer, "type": "http", **bearer},
            "key": {
                "apiKeySecurityScheme": {**header, "location": "header"},
                "type": "apiKey",
                "in": "header",
                **header,
            },
        }
        return found, list(found)
    if isinstance(auth, OidcAuth):
        where = {"openIdConnectUrl": f"{auth.issuer.rstrip('/')}/.well-known/openid-configuration"}
        scheme = {"openIdConnectSecurityScheme": where, "type": "openIdConnect", **where}
        return {"oidc": scheme}, ["oidc"]
    return {}, []
