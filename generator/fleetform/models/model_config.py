"""ModelConfig: which model is used, with which settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fleetform.contract import PROVIDERS
from fleetform.models.base import Metadata, Name, OneOf, SecretKey, Shared, Spec, optional
from fleetform.patterns import EFFORT, GCP_PROJECT, OPTIONAL_URL

Provider = Annotated[str, OneOf(*PROVIDERS)]
Usd = Annotated[float, Field(ge=0, le=100000)]


class Pricing(Spec):
    """Prices of tokens."""

    input_per_million: Usd = Field(description="US dollars per million input tokens.")
    output_per_million: Usd = Field(description="US dollars per million output tokens.")
    cached_input_per_million: Usd | None = optional(
        "US dollars per million input tokens read from the provider's cache. Default: as input."
    )
    cache_write_per_million: Usd | None = optional(
        "US dollars per million input tokens written to the provider's cache. Default: as input."
    )


class ModelTls(Spec):
    """TLS for connections to the model's endpoint."""

    ca_secret_ref: SecretKey | None = optional("PEM bundle of a private CA. Default: public CAs.")
    insecure_skip_verify: bool = Field(
        default=False, description="Weakens: accepts any certificate."
    )


class ModelSettings(Spec):
    """A model and its settings."""

    provider: Provider | None = optional("Provider of the model. Required.")
    name: Annotated[str, StringConstraints(min_length=1, max_length=253)] | None = optional(
        "The provider's name for the model. Required."
    )
    endpoint: Annotated[str, StringConstraints(pattern=OPTIONAL_URL, max_length=2048)] | None = (
        optional(
            "Base URL of the API. Default: the provider's; vLLM, Ollama, GPUStack, Azure and openai-compatible need one. Empty means unset."
        )
    )
    temperature: float | None = optional(
        "Sampling temperature, 0 to 2. Default: the provider's.", ge=0, le=2
    )
    max_tokens: int | None = optional(
        "Maximum number of tokens in an answer. Default: the provider's.", ge=1
    )
    top_p: float | None = optional("Nucleus sampling, 0 to 1. Default: the provider's.", ge=0, le=1)
    frequency_penalty: float | None = optional(
        "Penalty for frequent tokens, -2 to 2. Default: the provider's.", ge=-2, le=2
    )
    presence_penalty: float | None = optional(
        "Penalty for tokens seen before, -2 to 2. Default: the provider's.", ge=-2, le=2
    )
    context_tokens: int | None = optional(
        "Size of the context window in tokens: conversations are cut to fit. Default: learned from the first request that the model refuses as too long.",
        ge=1,
    )
    reasoning_effort: Annotated[str, StringConstraints(pattern=EFFORT)] | None = optional(
        "How long the model thinks, in the provider's words: `minimal`, `low`, `medium`, `high`. Default: the provider's."
    )
    parallel_tool_calls: bool | None = optional(
        "Whether one answer may call several tools. Default: the provider's."
    )
    strict_tools: bool | None = optional(
        "Whether the provider holds arguments to the tools' schemas. Default: false."
    )
    prompt_caching: bool | None = optional(
        "Whether the system prompt and the conversation are marked for the provider's cache, where that must be asked for: Anthropic, Bedrock, and openai-compatible gateways to them. Default: false."
    )
    extra_body: dict[str, object] | None = optional(
        "Members added to the body of each request, such as `chat_template_kwargs` of vLLM. Default: none."
    )
    api_key_secret_ref: SecretKey | None = optional(
        "API key. Default: the environment's key for the provider, then its `secrets.modelKeys` rule; none for Ollama, GPUStack, vLLM and Bedrock."
    )
    timeout_seconds: float | None = optional(
        "Timeout of one answer, in seconds. Default: 120.", gt=0, le=3600
    )
    retries: int | None = optional(
        "Retries after 408, 429, 5xx or a lost connection, before the first token. Default: 2.",
        ge=0,
        le=10,
    )
    region: Name | None = optional(
        "Region in which the model is asked, such as `eu-central-1`: of Bedrock, or of Google with `project`. Default: the pod's `AWS_REGION`, Google's choice."
    )
    project: Annotated[str, StringConstraints(pattern=GCP_PROJECT, max_length=64)] | None = (
        optional(
            "Google Cloud project: the model is asked through Vertex AI, with the pod's identity instead of a key. Default: none, Google's API with a key."
        )
    )
    pricing: Pricing | None = optional(
        "Prices for the cost in usage and metrics. Default: for common models at their provider's own endpoint those of docs/cost.md, else unknown."
    )
    tls: ModelTls | None = optional("TLS. Default: public CAs, verified.")


class ModelConfigSpec(ModelSettings, Shared):
    """A model, and who may refer to it."""


class ModelConfig(Spec):
    """A model that agents refer to by name."""

    api_version: Literal["fleetform.dev/v1alpha1"] = Field(description="API version.")
    kind: Literal["ModelConfig"] = Field(description="Kind of the document.")
    metadata: Metadata = Field(description="Name, namespace and labels.")
    spec: ModelConfigSpec = Field(description="The model.")
