"""Documents that an agent answers from: stores of passages, embeddings, searches, conditions."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fleetform_runtime.sections.base import (
    AbsolutePath,
    Count,
    Headers,
    Host,
    HttpUrl,
    NonNegative,
    OneOf,
    Port,
    SecretReference,
    Section,
    TextOrSecret,
    Timeouts,
    Tls,
    Usd,
    members,
    word_of,
)
from fleetform_runtime.sections.memory import StoreTimeouts
from fleetform_runtime.sections.model import ENDPOINT_REQUIRED, PROVIDERS, ProviderFacts

EMBEDDING_PROVIDERS = tuple(name for name, facts in PROVIDERS.items() if facts.embeddings)
"""Those that have embeddings."""
Field_ = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,127}$")]
Scalar = bool | int | float | Annotated[str, Field(max_length=4_096)]


class Comparison(Section):
    """One member of a passage's metadata, compared with a value."""

    field: Field_ = Field(description="Name of the member.")
    op: Literal["==", "!=", "<", "<=", ">", ">="] = Field(
        description="How it is compared; a passage without the member matches none but `!=`."
    )
    value: Scalar = Field(
        description="What with: numbers are compared with numbers, texts with texts."
    )


class AllOf(Section):
    """Conditions that all hold."""

    all: Annotated[tuple[Condition, ...], Field(min_length=1, max_length=100)] = Field(
        description="The conditions."
    )


class AnyOf(Section):
    """Conditions of which one holds."""

    any: Annotated[tuple[Condition, ...], Field(min_length=1, max_length=100)] = Field(
        description="The conditions."
    )


class Not(Section):
    """A condition that does not hold."""

    not_: Condition = Field(alias="not", description="The condition.")


Condition = Comparison | AllOf | AnyOf | Not
for _section in (AllOf, AnyOf, Not):
    _section.model_rebuild()


class EmbeddedStore(Section):
    """A file of the agent's own, which needs no server: SQLite with full text and vectors."""

    type: Literal["embedded"] = Field(description="Type of store.")
    path: AbsolutePath = Field(
        description="Folder of the file, which is named like the collection."
    )
    collection: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")] = Field(
        description="Name of the collection."
    )


Column = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]


class Fields(Section):
    """What the fields of a collection are called that others fill; one that `ingest` makes has names of its own."""

    id: Column = Field(default="id", description="Identifier of a passage; default id.")
    content: Column = Field(default="content", description="Its text; default content.")
    vector: Column = Field(default="vector", description="Its vector; default vector.")
    metadata: Column = Field(
        default="metadata",
        description="Its metadata as a document; without such a field all others are metadata. Default metadata.",
    )
    source: Field_ = Field(
        default="source",
        description="The member of the metadata that says where it is from; default source.",
    )


class ServerStore(Section):
    """A collection on a server."""

    host: Host = Field(description="Host name or IP address.")
    tls: Tls | None = Field(
        default=None, description="If present, even if empty, TLS is used; default: no TLS."
    )
    fields: Fields = Field(
        default_factory=Fields, description="Names of the fields of a collection that others fill."
    )
    timeouts: StoreTimeouts = Field(
        default_factory=StoreTimeouts, description="Deadlines of an operation."
    )

    def url(self, port: int) -> str:
        """Return the URL of a server that speaks HTTP."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.tls is None else 'https'}://{host}:{port}"


class PgvectorStore(ServerStore):
    """A table of PostgreSQL with the extension pgvector; `ingest` makes it if there is none."""

    type: Literal["pgvector"] = Field(description="Type of store.")
    port: Port = Field(default=5432, description="TCP port; default 5432.")
    database: str = Field(min_length=1, max_length=63, description="Name of the database.")
    username: TextOrSecret = Field(description="Role to connect as.")
    password: SecretReference | None = Field(default=None, description="Password; default: none.")
    collection: Annotated[
        str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9_]{0,62}\.)?[A-Za-z_][A-Za-z0-9_]{0,62}$")
    ] = Field(description="Name of the table, or schema and table with a dot between them.")
    pool_size: Count = Field(
        default=5, le=1_000, description="Maximum number of connections; default 5."
    )


class QdrantStore(ServerStore):
    """A collection of Qdrant; `ingest` makes it if there is none."""

    type: Literal["qdrant"] = Field(description="Type of store.")
    port: Port = Field(default=6333, description="TCP port of its REST API; default 6333.")
    api_key: SecretReference | None = Field(default=None, description="API key; default: none.")
    collection: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$")] = Field(
        description="Name of the collection."
    )


class MilvusStore(ServerStore):
    """A collection of Milvus; `ingest` makes it if there is none."""

    type: Literal["milvus"] = Field(description="Type of store.")
    port: Port = Field(default=19530, description="TCP port of its REST API; default 19530.")
    database: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")] = Field(
        default="default", description="Name of the database; default default."
    )
    token: SecretReference | None = Field(
        default=None,
        description="An API key, or user and password with a colon between them; default: none.",
    )
    collection: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,254}$")] = Field(
        description="Name of the collection, or an alias."
    )


VectorStore = Annotated[
    EmbeddedStore | PgvectorStore | QdrantStore | MilvusStore, Field(discriminator="type")
]
VECTOR_STORES = {
    word_of(member): member.model_fields["port"].default if "port" in member.model_fields else None
    for member in members(VectorStore)
}
"""The types of stores, each with its port if it is a server."""


class EmbeddingPricing(Section):
    """The price of an embedding."""

    input_per_million: Usd = Field(description="USD per million tokens.")


class Embedding(Section):
    """The model that turns texts into vectors."""

    provider: Annotated[str, OneOf(*EMBEDDING_PROVIDERS)] = Field(
        description="Protocol family of the endpoint."
    )
    name: str = Field(
        min_length=1, max_length=256, description="The provider's name for the model."
    )
    dimension: Annotated[int, Field(ge=1, le=65_536)] | None = Field(
        default=None,
        description="Length of a vector, asked of the model; default: the model's own.",
    )
    endpoint: HttpUrl | None = Field(
        default=None, description="Base URL; default: the provider's public one."
    )
    api_version: str | None = Field(
        default=None, max_length=32, description="API version of Azure, such as 2024-10-21."
    )
    region: str | None = Field(
        default=None, max_length=64, description="Region of Bedrock, location of Vertex AI."
    )
    project: str | None = Field(
        default=None,
        max_length=64,
        description="Google Cloud project; if set, Google's models are used through Vertex AI.",
    )
    api_key: SecretReference | None = Field(
        default=None, description="Key of the provider; default: none, or the pod's own identity."
    )
    headers: Headers = Field(
        default_factory=dict, description="Headers of every request; credentials as references."
    )
    query_prefix: Annotated[str, Field(max_length=256)] = Field(
        default="", description="Words before each question, which some models want; default: none."
    )
    document_prefix: Annotated[str, Field(max_length=256)] = Field(
        default="", description="Words before each passage, which some models want; default: none."
    )
    batch_size: Annotated[int, Field(ge=1, le=2_048)] = Field(
        default=64, description="Texts of one request; default 64."
    )
    pricing: EmbeddingPricing | None = Field(default=None, description="Price; default: unknown.")
    timeouts: Timeouts = Field(default_factory=Timeouts, description="Deadlines of a request.")
    retries: NonNegative = Field(
        default=2, le=10, description="Retries after 408, 429, 5xx or a lost connection; default 2."
    )
    tls: Tls | None = Field(default=None, description="TLS of an https endpoint.")

    @model_validator(mode="after")
    def _require_an_endpoint(self) -> Self:
        if self.endpoint is None and self.provider in ENDPOINT_REQUIRED:
            raise ValueError(f"provider {self.provider} needs an endpoint")
        return self

    @property
    def source(self) -> str:
        """Return who makes the vectors, for people."""
        return f"{self.name} at {self.endpoint or self.facts.public or self.provider}"

    @property
    def facts(self) -> ProviderFacts:
        """Return the facts about the provider."""
        return PROVIDERS[self.provider]


Mode = Literal["hybrid", "vector", "keyword"]


class Search(Section):
    """How passages are found."""

    mode: Mode = Field(
        description="By meaning (vector), by words (keyword), or by both, of which each adds to a passage's rank (hybrid)."
    )
    top_k: Count = Field(default=5, le=1_000, description="Passages of an answer; default 5.")
    score_threshold: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None,
        description="Least cosine of a passage's vector and the question's; default: none.",
    )
    filter: Condition | None = Field(
        default=None, description="What every passage must match; default: anything."
    )


class Knowledge(Section):
    """A collection of passages, and how it is searched."""

    store: VectorStore = Field(description="Where the passages are.")
    embedding: Embedding | None = Field(
        default=None,
        description="How texts become vectors; default: passages are found by their words.",
    )
    search: Search = Field(description="How passages are found.")

    @model_validator(mode="after")
    def _need_an_embedding(self) -> Self:
        if self.embedding is None and self.search.mode != "keyword":
            raise ValueError(f"a search of mode {self.search.mode} needs an embedding")
        if self.search.mode == "keyword" and self.search.score_threshold is not None:
            raise ValueError("scoreThreshold is for cosines, and a search of mode keyword has none")
        return self
