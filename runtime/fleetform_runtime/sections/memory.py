"""Where conversations are kept, and for how long."""

from typing import Annotated, Literal

from pydantic import Field

from fleetform_runtime.sections.base import (
    AbsolutePath,
    Count,
    Host,
    NonNegative,
    Port,
    Seconds,
    SecretReference,
    Section,
    TextOrSecret,
    Timeouts,
    Tls,
    members,
    word_of,
)
from fleetform_runtime.sections.model import Model


class Compression(Section):
    """When long conversations are compacted for the model, and who writes their summaries; what is stored stays whole."""

    threshold: Annotated[int, Field(ge=2, le=1_000_000)] = Field(
        default=50,
        description="Number of messages above which the oldest whole turns are summarised; at most "
        "maxConversationHistory counts. Default 50.",
    )
    context_threshold: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.75,
        description="Share of the model's context window above which a conversation is compacted; default 0.75.",
    )
    max_context_tokens: Annotated[int, Field(ge=1_000, le=100_000_000)] = Field(
        default=100_000,
        description="Tokens above which a conversation is compacted, however large the window; default 100000.",
    )
    model: Model | None = Field(
        default=None, description="Model that writes the summaries; default: the run's."
    )


class MemoryPolicy(Section):
    """How much is kept, and how much of it the model sees."""

    session_ttl_seconds: Annotated[float, Field(gt=0, le=315_360_000)] = Field(
        default=86_400,
        description="Seconds after its last message until a session expires; default 86400.",
    )
    max_conversation_history: Count = Field(
        default=100,
        description="Maximum number of newest messages of a session given to the model; a tool call is "
        "never separated from its result. Stored messages are not affected. Default 100.",
    )
    max_sessions_per_user: Count = Field(
        default=100,
        description="Maximum number of sessions per user; the oldest is evicted. Default 100.",
    )
    compression: Compression | None = Field(
        default=None,
        description="If present, even if empty, long conversations are summarised; default: older messages are left out.",
    )


class _Memory(Section):
    """Settings of every store."""

    policy: MemoryPolicy = Field(default_factory=MemoryPolicy, description="How much is kept.")


class NoMemory(Section):
    """Nothing is kept: each request stands alone, and any replica may answer it."""

    type: Literal["none"] = Field(description="Type of store.")

    @property
    def policy(self) -> MemoryPolicy:
        """Return the policy of what is not kept."""
        return MemoryPolicy()


class InMemory(_Memory):
    """Sessions in the process's memory: lost with it, and for one replica only."""

    type: Literal["in-memory"] = Field(default="in-memory", description="Type of store.")
    max_sessions: Count = Field(
        default=10_000,
        description="Maximum number of sessions in total; the oldest is evicted. Default 10000.",
    )
    max_bytes: Annotated[int, Field(ge=1_048_576, le=1_099_511_627_776)] = Field(
        default=67_108_864,
        description="Maximum size of all sessions; beyond it those that have been idle longest are "
        "evicted. A session that exceeds it alone takes no more messages. Default 67108864 (64 MiB).",
    )


class FilesystemMemory(_Memory):
    """One JSON Lines file per session, for one replica only."""

    type: Literal["filesystem"] = Field(description="Type of store.")
    path: AbsolutePath = Field(description="Folder of the sessions; it must be writable.")


class StoreTimeouts(Timeouts):
    """Deadlines of one store operation."""

    request_seconds: Seconds = Field(default=5, description="Seconds for one operation; default 5.")


class ServerMemory(_Memory):
    """A store on the network, shared by all replicas."""

    host: Host = Field(description="Host name or IP address.")
    password: SecretReference | None = Field(default=None, description="Password; default: none.")
    tls: Tls | None = Field(
        default=None, description="If present, even if empty, TLS is used; default: no TLS."
    )
    pool_size: Count = Field(
        default=10, le=1_000, description="Maximum number of connections; default 10."
    )
    timeouts: StoreTimeouts = Field(
        default_factory=StoreTimeouts, description="Deadlines of an operation."
    )


class RedisMemory(ServerMemory):
    """Redis or a compatible store; also shares quotas among replicas."""

    type: Literal["redis"] = Field(description="Type of store.")
    port: Port = Field(default=6379, description="TCP port; default 6379.")
    database: NonNegative = Field(default=0, le=65_535, description="Database number; default 0.")
    username: TextOrSecret | None = Field(
        default=None, description="ACL user; default: the server's default user."
    )
    key_prefix: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9:._-]{1,128}$",
        description="Prefix of every key; default: fleetform, namespace and agent, each with a "
        "colon after it.",
    )


class PostgresMemory(ServerMemory):
    """PostgreSQL; the tables are created on the first start."""

    type: Literal["postgres"] = Field(description="Type of store.")
    port: Port = Field(default=5432, description="TCP port; default 5432.")
    database: str = Field(min_length=1, max_length=63, description="Name of the database.")
    username: TextOrSecret = Field(description="Role to connect as.")
    schema_name: str = Field(
        alias="schema",
        default="fleetform",
        pattern=r"^[a-z_][a-z0-9_]{0,62}$",
        description="Schema of the tables; default fleetform.",
    )


Memory = Annotated[
    InMemory | FilesystemMemory | RedisMemory | PostgresMemory | NoMemory,
    Field(discriminator="type"),
]
STORE_TYPES = tuple(word_of(member) for member in members(Memory))
