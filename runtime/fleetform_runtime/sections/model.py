"""The language models that an agent uses."""

from typing import Annotated, NamedTuple, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from fleetform_runtime.sections.base import (
    Count,
    Headers,
    HttpUrl,
    Json,
    NonNegative,
    OneOf,
    Seconds,
    SecretReference,
    Section,
    Timeouts,
    Tls,
    Usd,
)


class ProviderFacts(NamedTuple):
    """Facts about a provider; the generator reads them from the contract."""

    public: str = ""
    """Base URL that is used without an `endpoint`; empty for a library that knows its own."""
    endpoint_required: bool = False
    """Whether it has no public endpoint."""
    keyless: bool = False
    """Whether it may be used without an API key."""
    module: str = ""
    """Module of the extra for its protocol; empty for OpenAI's, which needs none."""
    embeddings: bool = True
    """Whether it has models that turn texts into vectors."""
    regions: bool = False
    """Whether it is asked in a region of its cloud."""
    projects: bool = False
    """Whether it is asked through a project of its cloud, if one is set: with the pod's identity, in a region."""
    ignores: tuple[str, ...] = ()
    """Settings of a model that its protocol or its library has no place for."""
    truncates: bool = False
    """Whether it leaves out what exceeds its window without a word."""
    telemetry: str = ""
    """Its name in OpenTelemetry's conventions, if different."""


_CACHES = ("promptCaching",)  # by itself
_LIBRARY = ("extraBody", "parallelToolCalls")  # has no such settings

PROVIDERS: dict[str, ProviderFacts] = {
    "openai": ProviderFacts(public="https://api.openai.com/v1", ignores=_CACHES),
    "azure": ProviderFacts(endpoint_required=True, ignores=_CACHES, telemetry="azure.ai.openai"),
    "anthropic": ProviderFacts(module="anthropic", embeddings=False),
    "bedrock": ProviderFacts(
        keyless=True, module="boto3", regions=True, ignores=_LIBRARY, telemetry="aws.bedrock"
    ),
    "google": ProviderFacts(
        module="google.genai",
        regions=True,
        projects=True,
        ignores=(*_CACHES, *_LIBRARY, "strictTools"),
        telemetry="gcp.gemini",
    ),
    "vllm": ProviderFacts(endpoint_required=True, keyless=True, ignores=_CACHES),
    "ollama": ProviderFacts(endpoint_required=True, keyless=True, ignores=_CACHES, truncates=True),
    "gpustack": ProviderFacts(endpoint_required=True, keyless=True, ignores=_CACHES),
    "openai-compatible": ProviderFacts(endpoint_required=True, keyless=True),
}
"""One row per provider; one with another protocol also needs a factory in models/foreign."""
ENDPOINT_REQUIRED = tuple(name for name, facts in PROVIDERS.items() if facts.endpoint_required)


RESERVED = frozenset(
    (
        "model", "messages", "tools", "tool_choice", "stream", "stream_options", "n", "temperature", "top_p",
        "max_tokens", "max_completion_tokens", "frequency_penalty", "presence_penalty", "reasoning_effort",
        "parallel_tool_calls",
    )
)  # fmt: skip
"""Members of a request's body that `extraBody` may not set."""


class Pricing(Section):
    """Prices of tokens; without them no cost is reported."""

    input_per_million: Usd = Field(description="USD per million input tokens.")
    output_per_million: Usd = Field(description="USD per million output tokens.")
    cached_input_per_million: Usd | None = Field(
        default=None,
        description="USD per million input tokens read from the provider's cache; default: as input.",
    )
    cache_write_per_million: Usd | None = Field(
        default=None,
        description="USD per million input tokens written to the provider's cache; default: as input.",
    )


class ModelTimeouts(Timeouts):
    """Deadlines of one request to a model."""

    request_seconds: Seconds = Field(
        default=120, description="Seconds for one model request, including its stream; default 120."
    )
    first_token_seconds: Seconds = Field(
        default=30, description="Seconds until the first event of a response; default 30."
    )


class Model(Section):
    """One model of one provider, and its settings."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"provider": {"enum": list(ENDPOINT_REQUIRED)}}},
            "then": {"required": ["endpoint"]},
        }
    )

    provider: Annotated[str, OneOf(*PROVIDERS)] = Field(
        description="Protocol family of the endpoint."
    )
    name: str = Field(
        min_length=1, max_length=256, description="The provider's name for the model."
    )
    id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$",
        description="Name by which sessions choose it and /v1/models lists it; default: name.",
    )
    endpoint: HttpUrl | None = Field(
        default=None,
        description="Base URL; default: the provider's public one. Required for Azure, vLLM, Ollama, GPUStack "
        "and openai-compatible, which have none.",
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
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Sampling temperature; default: the provider's."
    )
    top_p: float | None = Field(
        default=None, ge=0, le=1, description="Nucleus sampling mass; default: the provider's."
    )
    max_tokens: Count | None = Field(
        default=None,
        description="Maximum number of tokens of one response; default: the provider's.",
    )
    frequency_penalty: float | None = Field(
        default=None, ge=-2, le=2, description="Penalty on frequent tokens; default: none."
    )
    presence_penalty: float | None = Field(
        default=None, ge=-2, le=2, description="Penalty on tokens seen before; default: none."
    )
    context_tokens: Count | None = Field(
        default=None,
        description="Size of the context window in tokens; a conversation is cut to fit. Default: "
        "learned from the first request that the model refuses as too long.",
    )
    reasoning_effort: Annotated[str, Field(pattern=r"^[a-z]{1,16}$")] | None = Field(
        default=None,
        description="How long the model thinks, in the provider's words, such as low, medium or high; "
        "default: the provider's.",
    )
    parallel_tool_calls: bool | None = Field(
        default=None,
        description="Whether one answer may call several tools; default: the provider's.",
    )
    strict_tools: bool = Field(
        default=False,
        description="Whether the provider holds arguments to the tools' schemas; default false.",
    )
    prompt_caching: bool = Field(
        default=False,
        description="Whether the system prompt and the conversation are marked for the provider's cache, "
        "where that must be asked for: Anthropic, Bedrock, and openai-compatible gateways to them; default false.",
    )
    extra_body: dict[str, Json] = Field(
        default_factory=dict,
        description="Members added to the body of each request, such as chat_template_kwargs; default: none.",
    )
    pricing: Pricing | None = Field(default=None, description="Prices; default: unknown.")
    timeouts: ModelTimeouts = Field(
        default_factory=ModelTimeouts, description="Deadlines of a request."
    )
    retries: NonNegative = Field(
        default=2,
        le=10,
        description="Retries after 408, 429, 5xx or a lost connection, but not after the first token; "
        "default 2.",
    )
    tls: Tls | None = Field(default=None, description="TLS of an https endpoint.")

    @model_validator(mode="after")
    def _require_an_endpoint(self) -> Self:
        if self.endpoint is None and self.provider in ENDPOINT_REQUIRED:
            raise ValueError(f"provider {self.provider} needs an endpoint")
        return self

    @field_validator("extra_body")
    @classmethod
    def _keep_what_is_ours(cls, value: dict[str, Json]) -> dict[str, Json]:
        if taken := sorted(RESERVED & value.keys()):
            raise ValueError(f"{', '.join(taken)}: set by the runtime, or by a field of its own")
        return value

    @property
    def source(self) -> str:
        """Return who answers: what a provider keeps in a conversation goes back to the same alone."""
        return f"{self.provider} {self.endpoint or ''} {self.name}"

    @property
    def takes_temperature(self) -> bool:
        """Whether it may be asked with a temperature: models that reason with some effort refuse one."""
        return self.reasoning_effort in (None, "none")

    @property
    def key(self) -> str:
        """Return the name by which sessions choose this model."""
        return self.id or self.name

    @property
    def facts(self) -> ProviderFacts:
        """Return the facts about the provider."""
        return PROVIDERS[self.provider]
