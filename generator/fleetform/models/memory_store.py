"""MemoryStore: where conversations are stored, and for how long."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fleetform.contract import EMBEDDINGS, KNOWLEDGE, NO_MEMORY, SESSIONS, STORES
from fleetform.models.base import (
    AbsolutePath,
    Host,
    Metadata,
    Name,
    ObjectName,
    OneOf,
    Port,
    QualifiedName,
    SecretKey,
    Shared,
    Size,
    Spec,
    Url,
    optional,
)
from fleetform.models.workload import (
    Container,
    EnvFromSource,
    EnvVar,
    Identity,
    ImageName,
    Network,
    PodTemplate,
    Resources,
    Volume,
)
from fleetform.patterns import GCP_PROJECT


class SecretName(Spec):
    """A whole Secret, with conventional keys."""

    name: ObjectName = Field(description="Name of the Secret.")


class StoreTls(Spec):
    """TLS for connections to a store."""

    enabled: bool | None = optional(
        "Whether the connection is encrypted. Default: true if another field of `tls` is set."
    )
    secret_ref: SecretName | None = optional(
        "Secret with `ca.crt`, `tls.crt` and `tls.key`. Default: public CAs, no client certificate."
    )
    client_certificate: bool = Field(
        default=True,
        description="Whether `tls.crt` and `tls.key` of the Secret are used as a client certificate.",
    )
    insecure_skip_verify: bool = Field(
        default=False, description="Weakens: accepts any certificate."
    )


class RedisAuth(Spec):
    """Authentication at Redis."""

    username: str | None = optional("ACL user. Default: the default user.", max_length=253)
    secret_ref: SecretKey | None = optional("Password. Default: none.")


class Redis(Spec):
    """A Redis server."""

    host: Host | None = optional(
        "Host name. No default; a server provisioned by the environment sets it."
    )
    port: Port = Field(default=6379, description="Port number; a provisioned server sets it.")
    database: int = Field(default=0, description="Database number.", ge=0, le=65535)
    tls: StoreTls = Field(default_factory=StoreTls, description="TLS.")
    auth: RedisAuth = Field(default_factory=RedisAuth, description="Sign-in.")


class Postgres(Spec):
    """A PostgreSQL server."""

    host: Host | None = optional(
        "Host name. No default; a server provisioned by the environment sets it."
    )
    port: Port = Field(default=5432, description="Port number; a provisioned server sets it.")
    database: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_$-]*$", max_length=63)
    ] = Field(default="fleetform", description="Database name.")
    username: str = Field(
        default="fleetform", description="User name.", min_length=1, max_length=63
    )
    password_secret_ref: SecretKey | None = optional("Password. Default: none.")
    tls: StoreTls = Field(default_factory=StoreTls, description="TLS.")


class InMemory(Spec):
    """The memory of the agent's process, lost with it."""

    max_bytes: int | None = optional(
        "Maximum size of all sessions in bytes; those idle longest make room. Default: 67108864.",
        ge=1_048_576,
        le=1_099_511_627_776,
    )
    max_sessions: int | None = optional(
        "Maximum number of sessions; those idle longest make room. Default: 10000.",
        ge=1,
        le=1_000_000,
    )


class Filesystem(Spec):
    """JSON lines on a volume."""

    path: AbsolutePath = Field(
        default=SESSIONS, description="Folder of the files; mount a volume there."
    )


Column = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=63)]


class CollectionFields(Spec):
    """What the fields of a collection are called that others fill."""

    id: Column | None = optional("Identifier of a passage. Default: id.")
    content: Column | None = optional("Its text. Default: content.")
    vector: Column | None = optional("Its vector. Default: vector.")
    metadata: Column | None = optional(
        "Its metadata as a document; without such a field all others are metadata. Default: metadata."
    )
    source: Column | None = optional(
        "Member of the metadata that says where it is from. Default: source."
    )


class VectorStore(Spec):
    """A vector database."""

    type: Literal["embedded", "milvus", "pgvector", "qdrant"] = Field(
        description="Which one; `embedded` is a file of the agent's own and needs no server."
    )
    path: AbsolutePath | None = optional(
        f"Folder of an embedded one; mount a volume there. Default: {KNOWLEDGE}."
    )
    host: Host | None = optional("Host name. Required for a server.")
    port: Port | None = optional("Port number. Default: the product's own.")
    database: Annotated[
        str | None, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_$-]*$", max_length=63)
    ] = optional("Database name, for pgvector and Milvus. Default: fleetform, in Milvus `default`.")
    username: str | None = optional(
        "User name, for pgvector. Default: fleetform.", min_length=1, max_length=63
    )
    collection: str = Field(
        description="Collection or table; for pgvector also schema and table with a dot between them. Milvus takes `-` for `_`.",
        min_length=1,
        max_length=255,
    )
    fields: CollectionFields | None = optional(
        "Names of the fields of a collection that others fill. Default: as below."
    )
    secret_ref: SecretKey | None = optional(
        "Password; for Qdrant its API key, for Milvus a token: an API key, or `user:password`. Default: none."
    )
    tls: StoreTls | None = optional("TLS. Default: none.")


class Embedding(Spec):
    """The model that turns text into vectors."""

    provider: Annotated[str, OneOf(*sorted(EMBEDDINGS))] = Field(
        description="Provider of the embedding model."
    )
    model: str = Field(description="Model name.", min_length=1, max_length=253)
    dimension: int | None = optional("Length of a vector. Default: the model's.", ge=1, le=65536)
    endpoint: Url | None = optional(
        "Base URL. Default: that of the agent's model, if it is of the same provider, else the provider's public one."
    )
    secret_ref: SecretKey | None = optional(
        "API key. Default: the agent's, if it uses the same provider."
    )
    region: Name | None = optional(
        "Region in which the model is asked: of Bedrock, or of Google with `project`. Default: that of the agent's model of the same provider, else the pod's `AWS_REGION`, Google's choice."
    )
    project: Annotated[str, StringConstraints(pattern=GCP_PROJECT, max_length=64)] | None = (
        optional(
            "Google Cloud project: the model is asked through Vertex AI, with the pod's identity instead of a key. Default: that of the agent's model of the same provider, unless there is a `secretRef`."
        )
    )
    query_prefix: str | None = optional(
        "Words before each question, which some models want, such as `search_query: `. Default: none.",
        max_length=256,
    )
    document_prefix: str | None = optional(
        "Words before each passage, such as `search_document: `. Default: none.", max_length=256
    )
    input_per_million: float | None = optional(
        "Price of a million tokens in USD. Default: for common models at their provider's own endpoint that of docs/cost.md, else unknown.",
        ge=0,
        le=1_000_000,
    )


class Compression(Spec):
    """Summaries of long conversations."""

    enabled: bool = Field(default=False, description="Whether long conversations are summarised.")
    threshold: int = Field(
        default=50,
        description="Number of messages above which the oldest are summarised; at most `maxConversationHistory` counts.",
        ge=2,
        le=100_000,
    )
    context_threshold: float | None = optional(
        "Share of the model's `contextTokens`, 0 to 1, above which a conversation is summarised. Default: 0.75.",
        gt=0,
        le=1,
    )
    max_context_tokens: int | None = optional(
        "Tokens above which a conversation is summarised, however large the window. Default: 100000.",
        ge=1_000,
        le=100_000_000,
    )
    model: str | None = optional(
        "Model that writes the summaries: the name of a ModelConfig, else that of a model of the agent's provider. Default: the one that answers.",
        min_length=1,
        max_length=253,
    )


class LongTermMemory(Spec):
    """Facts about each user, kept across sessions in the store of the conversations."""

    enabled: bool = Field(default=False, description="Whether facts are kept across sessions.")
    embedding: Embedding | None = optional(
        "How memories are compared by their meaning. Default: by their words."
    )
    model: str | None = optional(
        "Which of the agent's models decides what to remember: one of `models`, or its own. Default: its own.",
        min_length=1,
        max_length=253,
    )
    max_memories: int | None = optional(
        "Memories that are put beside a question. Default: 5.", ge=1, le=50
    )
    max_per_user: int | None = optional(
        "Memories of a user; those go first that were shown least. Default: 500.", ge=1, le=2000
    )
    ttl: int | None = optional(
        "Seconds after its last use until a memory is deleted. Default: 15552000, which is 180 days.",
        ge=1,
        le=315360000,
    )
    requires_approval: bool = Field(
        default=False,
        description="Whether people approve what the tools `remember` and `forget` are to do.",
    )
    user: Annotated[
        str | None,
        StringConstraints(pattern=r"^[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,255}$", max_length=256),
    ] = optional(
        "The one user whose memories they are. Required with `auth` of type none, refused with others."
    )
    vector_store: VectorStore | None = optional(
        "Not needed: memories are kept in the store of the conversations. Default: none."
    )


class Policy(Spec):
    """How much is kept, and for how long."""

    session_ttl: int | None = optional(
        "Seconds until an idle session expires. Default: 86400.",
        alias="sessionTTL",
        ge=1,
        le=315360000,
    )
    max_conversation_history: int | None = optional(
        "Messages loaded into a turn. Default: 100.", ge=1, le=100000
    )
    max_sessions_per_user: int | None = optional(
        "Sessions kept per user, oldest evicted. Default: 100.", ge=1, le=100000
    )
    compression: Compression | None = optional("Summaries. Default: off.")
    long_term_memory: LongTermMemory | None = optional("Long-term memory. Default: off.")


StoreType = Annotated[str, OneOf(*(name for name in STORES if name != NO_MEMORY))]
MemoryType = Annotated[str, OneOf(*STORES)]


class Storage(Spec):
    """A store and its policy."""

    type: StoreType | None = optional("Type of store. Required.")
    redis: Redis | None = optional("For type redis.")
    postgres: Postgres | None = optional("For type postgres.")
    filesystem: Filesystem | None = optional("For type filesystem.")
    in_memory: InMemory | None = optional("For type in-memory.")
    policy: Policy = Field(default_factory=Policy, description="How much is kept.")


class Provision(Spec):
    """A dedicated server in the cluster, for development: one replica; see `backup`."""

    enabled: bool = Field(default=True, description="Whether it is deployed.")
    storage: Size | None = optional(
        "Size in bytes of its volume, such as `1Gi`. Default: scratch space, lost with the pod."
    )
    container: Container | None = optional("Your own image. Default: the stock image of the type.")
    resources: Resources = Field(
        default_factory=Resources, description="Requests and limits of the server."
    )
    env: list[EnvVar] = Field(
        default_factory=list, description="Environment variables of the server. Default: none."
    )
    env_from: list[EnvFromSource] = Field(
        default_factory=list,
        description="Whole Secrets and ConfigMaps, each key a variable; `env` wins. Default: none.",
    )
    volumes: list[Volume] = Field(
        default_factory=list, description="Volumes in addition to the data volume. Default: none."
    )
    network: Network = Field(
        default_factory=Network,
        description="Network permissions in addition to the agents that use it.",
    )
    pod_template: PodTemplate = Field(
        default_factory=PodTemplate, description="Escape hatches for pod settings."
    )


Prefix = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)*$", max_length=512
    ),
]
"""Folders in a bucket, none of which is `.` or `..`."""
Cron = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class S3(Spec):
    """A bucket of S3, or of what speaks like it."""

    bucket: Annotated[
        str,
        StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$", min_length=3, max_length=63),
    ] = Field(description="Name of the bucket.")
    prefix: Prefix | None = optional(
        "Folder in the bucket, in which the store has one of its own. Default: the environment's name and the namespace."
    )
    region: Name | None = optional("Region of the bucket. Required without `endpoint`.")
    endpoint: Url | None = optional(
        "URL of another server than AWS's, such as MinIO. Default: AWS in `region`."
    )
    access_key_secret_ref: SecretKey | None = optional(
        "Access key. Default: that of the pod's identity."
    )
    secret_key_secret_ref: SecretKey | None = optional(
        "Secret access key. Required with `accessKeySecretRef`. Default: none."
    )


class Gcs(Spec):
    """A bucket of Google Cloud Storage."""

    bucket: Annotated[
        str,
        StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*[a-z0-9]$", min_length=3, max_length=222),
    ] = Field(description="Name of the bucket.")
    prefix: Prefix | None = optional(
        "Folder in the bucket, in which the store has one of its own. Default: the environment's name and the namespace."
    )
    credentials_secret_ref: SecretKey | None = optional(
        "Key file of a service account. Default: the pod's identity."
    )


class BackupClaim(Spec):
    """A claim that backups are kept in, such as one of a file server elsewhere."""

    name: ObjectName = Field(description="Name of the claim, in the store's namespace.")
    size: Size | None = optional(
        "Size in bytes with which the claim is made, such as `10Gi`. Default: the claim exists already."
    )
    storage_class: ObjectName | None = optional(
        "Storage class of a claim that is made. Default: the cluster's."
    )


class BackupTarget(Spec):
    """Where backups are kept: one of these."""

    s3: S3 | None = optional("A bucket of S3, or of what speaks like it. Default: none.")
    gcs: Gcs | None = optional("A bucket of Google Cloud Storage. Default: none.")
    pvc: BackupClaim | None = optional("A claim. Default: none.")


class Keep(Spec):
    """How many backups are kept: the last one of each of so many days, weeks and months."""

    daily: int = Field(default=7, description="Days of which one is kept.", ge=0, le=3650)
    weekly: int = Field(default=4, description="Weeks of which one is kept.", ge=0, le=520)
    monthly: int = Field(default=6, description="Months of which one is kept.", ge=0, le=120)


class Drill(Spec):
    """Restores the last backup in its own pod, into a server or as files, and counts what is there."""

    enabled: bool = Field(default=True, description="Whether backups are tried.")
    schedule: Cron = Field(
        default="0 5 * * 0",
        description="When, by cron's five fields in the backup's `timeZone`.",
    )


class Backup(Spec):
    """Backups of what a store holds, each of which is checked, and restored now and then to see whether it can be."""

    schedule: Cron = Field(
        description="When, by cron's five fields in `timeZone`, such as `15 3 * * *`, or `@daily` and the like."
    )
    time_zone: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        default="Etc/UTC", description="Time zone of the schedules, as the IANA database names it."
    )
    to: BackupTarget = Field(description="Where they are kept.")
    password_secret_ref: SecretKey = Field(
        description="Password that they are encrypted with; keep it elsewhere too, for without it nothing can be restored."
    )
    keep: Keep = Field(default_factory=Keep, description="How many are kept.")
    drill: Drill = Field(default_factory=Drill, description="Whether they can be restored.")
    identity: Identity | None = optional(
        "Cloud identity that may read and write the bucket. Default: none."
    )
    image: ImageName | None = optional(
        "Image with the server's own programs; not older than the server, and with its extensions. Default: the image that `provision` runs; files need none."
    )
    scratch: Size = Field(
        default="1Gi",
        description="Space in bytes for a dump, in a drill for the files of its server too.",
    )
    resources: Resources = Field(
        default_factory=Resources,
        description="Requests and limits of each container; the server of a drill of Redis holds everything in memory.",
    )


class MemoryStoreSpec(Storage, Shared):
    """A store that agents refer to by name."""

    description: str | None = optional(
        "Purpose, for readers of the spec; not rendered. Default: none.",
        max_length=4096,
    )
    provision: Provision | None = optional(
        "A server in the cluster, for development. Default: the store exists already."
    )
    backup: Backup | None = optional("Backups. Default: none.")


class MemoryStore(Spec):
    """A store that agents refer to by name."""

    api_version: Literal["fleetform.dev/v1alpha1"] = Field(description="API version.")
    kind: Literal["MemoryStore"] = Field(description="Kind of the document.")
    metadata: Metadata = Field(description="Name, namespace and labels.")
    spec: MemoryStoreSpec = Field(description="The store.")


class AgentMemory(Storage):
    """The memory of one agent: a MemoryStore by name, its own store, or none; values set here win."""

    type: MemoryType | None = optional(
        "Type of store; with `none` nothing is kept, each request stands alone, and any replica may answer it. Required without `store`."
    )

    store: QualifiedName | None = optional(
        "Name of a MemoryStore, or `namespace/name`. Default: the other fields of this section."
    )
