"""Tool: something an agent can do, described for the model that calls it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fleetform.kinds import TOOL_TYPES
from fleetform.models.base import (
    Duration,
    Json,
    Metadata,
    OneOf,
    Quantity,
    SecretKey,
    Shared,
    Spec,
    Url,
    optional,
)
from fleetform.models.memory_store import Embedding, VectorStore

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
    scopes: list[str] = Field(default_factory=list, description="Scopes to request. Default: none.")


class Authentication(Spec):
    """How a call authenticates; the secret itself is always a reference."""

    type: Literal["none", "bearer", "basic", "header", "oauth2"] = Field(description="Scheme.")
    secret_ref: SecretKey | None = optional(
        "Token, password, header value or client secret. Required unless the type is none."
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
    timeout: Duration = Field(default="30s", description="Timeout of one call, a duration.")
    retries: int = Field(default=0, description="Retries after a failed call.", ge=0, le=10)
    idempotency_key: bool = Field(
        default=True,
        description="Whether calls with side effects carry an Idempotency-Key; without it POST and PATCH are never retried.",
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, description="Fixed headers; never credentials. Default: none."
    )
    authentication: Authentication | None = optional("Authentication. Default: none.")


class Search(Spec):
    """Search settings."""

    mode: Literal["hybrid", "vector", "keyword"] | None = optional(
        "By meaning (vector), by words (keyword), or by both. Default: hybrid with an `embedding`, keyword without."
    )
    top_k: int = Field(default=5, description="Number of results.", ge=1, le=1000)
    score_threshold: float | None = optional(
        "Minimum cosine of question and passage, 0 to 1; few models give 0.6 to what fits. Default: none.",
        ge=0,
        le=1,
    )
    filter: str = Field(
        default="",
        description='What the metadata of every passage must match, such as `category == "faq" and year >= 2024`. Default: none.',
        max_length=4096,
    )


class Retrieval(Spec):
    """A search in a vector store."""

    vector_store: VectorStore = Field(description="Vector store to search.")
    embedding: Embedding | None = optional(
        "How texts become vectors. Default: passages are found by their words."
    )
    search: Search = Field(default_factory=Search, description="Search settings.")


class Code(Spec):
    """A program that runs beside the agent, where it reaches no network, no other program and no file but its own."""

    source: Annotated[str, StringConstraints(min_length=1, max_length=262144)] | None = optional(
        "The program, in Python: it finds the parameters in `inputs`, and what it prints is the result. Default: the model's, with `allowModelCode`."
    )
    engine: Literal["auto", "python", "monty", "sandbox"] = Field(
        default="auto",
        description="What runs it: `python`, in a process that locks itself in; `monty`, an interpreter of a part of Python, for which the image needs the extra `monty`; `auto`, the first of these two that is possible on the node; `sandbox`, a pod that agent-sandbox makes for the one run, with a kernel of its own (the environment's `sandboxes`).",
    )
    allow_model_code: bool = Field(
        default=False,
        description="Weakens: the model writes the program, so whoever talks to it does.",
    )
    timeout: Duration = Field(default="30s", description="Timeout of one run, a duration.")
    memory: Quantity = Field(
        default="128Mi",
        description="Memory of one run, beside what Python itself takes. It is a part of the agent's, or of the sandbox's.",
    )
    output: Quantity = Field(default="64Ki", description="What it may print, in bytes.")


class Human(Spec):
    """A question to a human; the run waits for the answer."""

    prompt: str | None = optional(
        "Question for the human. Default: the tool's description.", max_length=4096
    )


class RemoteAgent(Spec):
    """An agent that is not of the fleet, and speaks Agent2Agent (A2A)."""

    card: Url = Field(
        description="URL of its card. What the card names has to be on the same host and port."
    )
    timeout: Duration = Field(
        default="120s", description="Timeout of one answer, tools included, a duration."
    )
    authentication: Authentication | None = optional("Authentication. Default: none.")
    on_behalf: bool = Field(
        default=False,
        description="Whether the key is a gateway's there, and each request names its user in X-User-Id.",
    )


class Parameter(Spec):
    """One input parameter."""

    name: ParameterName = Field(description="Name.")
    type: Literal["string", "number", "integer", "boolean", "array", "object"] = Field(
        default="string", description="JSON type."
    )
    description: str | None = optional("Description for the model. Default: none.", max_length=4096)
    required: bool = Field(default=False, description="Whether the parameter is required.")
    location: Literal["path", "query", "header", "body"] | None = optional(
        "Where an api tool sends it. Default: the path if the endpoint contains it, the query for GET and DELETE, otherwise the JSON body.",
        alias="in",
    )
    field: ParameterName | None = optional(
        "Member of the metadata that must be equal to it, for retrieval. Default: the name."
    )
    enum: list[Json] | None = optional("Allowed values. Default: all.", min_length=1)
    default: Json | None = optional("Default value. Default: none.")
    pattern: str | None = optional(
        "Regular expression (RE2 syntax) for strings. Default: none.", max_length=1024
    )
    min_length: int | None = optional("Minimum length in characters.", ge=0)
    max_length: int | None = optional("Maximum length in characters.", ge=0)
    minimum: float | None = optional("Minimum value.")
    maximum: float | None = optional("Maximum value.")
    items: dict[str, Json] | None = optional("JSON Schema of an array's items. Default: anything.")
    properties: dict[str, Json] | None = optional(
        "JSON Schemas of an object's members. Default: anything."
    )


class ToolSpec(Shared):
    """A tool; the field with the name of its type has the details."""

    type: Annotated[str, OneOf(*TOOL_TYPES)] = Field(description="Type of tool.")
    display_name: str | None = optional("Display name. Default: the name.", max_length=253)
    description: str | None = optional(
        "Description for the model. Default: none.", max_length=16384
    )
    api: Api | None = optional("For type api.")
    retrieval: Retrieval | None = optional("For type retrieval.")
    code: Code | None = optional("For type code.")
    human: Human | None = optional("For type human. Default: asks with the description.")
    agent: RemoteAgent | None = optional("For type agent.")
    parameters: list[Parameter] = Field(
        default_factory=list, description="Input parameters. Default: none."
    )
    output: dict[str, Json] | None = optional(
        "JSON Schema of the result; results of api and retrieval are reduced to it. Default: everything is passed on."
    )
    requires_approval: bool = Field(
        default=False, description="Whether each call needs human approval."
    )


class Tool(Spec):
    """A tool that agents refer to by name."""

    api_version: Literal["fleetform.dev/v1alpha1"] = Field(description="API version.")
    kind: Literal["Tool"] = Field(description="Kind of the document.")
    metadata: Metadata = Field(description="Name, namespace and labels.")
    spec: ToolSpec = Field(description="The tool.")
