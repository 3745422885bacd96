"""Tool: something that an agent can do, described for the model that chooses it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fleetform.kinds import TOOL_TYPES
from fleetform.models.base import Duration, Json, Metadata, OneOf, SecretKey, Spec, Url, optional
from fleetform.models.memory_store import VectorStore
from fleetform.models.model_config import Provider

HeaderName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", max_length=128)
]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[^\r\n]*$", max_length=4096)]
ParameterName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=64)
]


class OAuth2(Spec):
    """OAuth 2 client credentials."""

    token_url: Url = Field(description="Token endpoint.")
    client_id: str = Field(description="Client id.", min_length=1, max_length=253)
    scopes: list[str] = Field(default_factory=list, description="Scopes to ask for. Default: none.")


class Authentication(Spec):
    """How a call signs in; the secret itself is always a reference."""

    type: Literal["none", "bearer", "basic", "header", "oauth2"] = Field(description="Scheme.")
    secret_ref: SecretKey | None = optional(
        "Token, password, header value or client secret. Needed unless the type is none."
    )
    username: str | None = optional("User name, for basic.", max_length=253)
    header: HeaderName | None = optional("Header that carries the secret, for header.")
    oauth2: OAuth2 | None = optional("Client credentials, for oauth2.")


class Api(Spec):
    """An HTTP call."""

    endpoint: Url = Field(description="URL; `{name}` in its path is a parameter.")
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field(
        default="GET", description="HTTP method."
    )
    timeout: Duration = Field(default="30s", description="Time that one call may take, a duration.")
    retries: int = Field(default=0, description="Further tries after a failed one.", ge=0, le=10)
    idempotency_key: bool = Field(
        default=True,
        description="Whether calls with side effects carry an Idempotency-Key; without it POST and PATCH are never retried.",
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, description="Fixed headers; never credentials. Default: none."
    )
    authentication: Authentication | None = optional("Sign-in. Default: none.")


class Embedding(Spec):
    """The model that turns text into vectors."""

    provider: Provider = Field(description="Who serves it.")
    model: str = Field(description="Model name.", min_length=1, max_length=253)
    dimension: int | None = optional("Length of a vector. Default: the model's.", ge=1, le=65536)
    secret_ref: SecretKey | None = optional(
        "API key. Default: the agent's, when it uses the same provider."
    )


class Search(Spec):
    """How to search."""

    top_k: int = Field(default=5, description="Results to return.", ge=1, le=1000)
    score_threshold: float | None = optional("Least similarity, 0 to 1. Default: none.", ge=0, le=1)
    filter: str = Field(
        default="",
        description="Filter expression of the vector store. Default: none.",
        max_length=4096,
    )


class Retrieval(Spec):
    """A search in a vector store."""

    vector_store: VectorStore = Field(description="Where to search.")
    embedding: Embedding = Field(description="How queries become vectors.")
    search: Search = Field(default_factory=Search, description="How to search.")


class Code(Spec):
    """Code that the model writes, run in a sandbox."""

    language: Literal["python", "javascript"] = Field(default="python", description="Language.")
    timeout: Duration = Field(default="30s", description="Time that one run may take, a duration.")


class Human(Spec):
    """A question to a person; the run waits for the answer."""

    prompt: str | None = optional(
        "What the person is asked. Default: the tool's description.", max_length=4096
    )


class Parameter(Spec):
    """One input parameter."""

    name: ParameterName = Field(description="Name.")
    type: Literal["string", "number", "integer", "boolean", "array", "object"] = Field(
        default="string", description="JSON type."
    )
    description: str | None = optional(
        "What the model is told of it. Default: nothing.", max_length=4096
    )
    required: bool = Field(default=False, description="Whether a call without it is refused.")
    location: Literal["path", "query", "header", "body"] | None = optional(
        "Where an api tool sends it. Default: the path when the endpoint names it, else the query on GET and DELETE, else the JSON body.",
        alias="in",
    )
    enum: list[Json] | None = optional("Allowed values. Default: all.", min_length=1)
    default: Json | None = optional("Value when absent. Default: none.")
    pattern: str | None = optional(
        "Regular expression (RE2 syntax) for strings. Default: none.", max_length=1024
    )
    min_length: int | None = optional("Fewest characters.", ge=0)
    max_length: int | None = optional("Most characters.", ge=0)
    minimum: float | None = optional("Smallest number.")
    maximum: float | None = optional("Largest number.")
    items: dict[str, Json] | None = optional("JSON Schema of an array's items. Default: anything.")
    properties: dict[str, Json] | None = optional(
        "JSON Schemas of an object's members. Default: anything."
    )


class ToolSpec(Spec):
    """A tool; the field named like its type says the rest."""

    type: Annotated[str, OneOf(*TOOL_TYPES)] = Field(description="What kind of tool.")
    display_name: str | None = optional("Name for people. Default: the name.", max_length=253)
    description: str | None = optional(
        "What the model is told of it. Default: nothing.", max_length=16384
    )
    api: Api | None = optional("For type api.")
    retrieval: Retrieval | None = optional("For type retrieval.")
    code: Code | None = optional("For type code. Default: Python, 30 s.")
    human: Human | None = optional("For type human. Default: asks with the description.")
    parameters: list[Parameter] = Field(
        default_factory=list, description="Input parameters. Default: none."
    )
    output: dict[str, Json] | None = optional(
        "JSON Schema of the result; api results are cut down to it. Default: all is passed on."
    )
    requires_approval: bool = Field(
        default=False, description="Whether a person must approve each call."
    )


class Tool(Spec):
    """A tool that agents refer to by name."""

    api_version: Literal["fleetform.dev/v1alpha1"] = Field(description="API version.")
    kind: Literal["Tool"] = Field(description="Kind of the document.")
    metadata: Metadata = Field(description="Name and place.")
    spec: ToolSpec = Field(description="The tool.")
