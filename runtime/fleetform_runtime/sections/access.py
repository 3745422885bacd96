"""Who may call an agent, and how much."""

from typing import Annotated, Literal

from pydantic import Field

from fleetform_runtime.sections.base import (
    Count,
    HeaderName,
    HttpUrl,
    Name,
    NonNegative,
    Seconds,
    SecretReference,
    Section,
    Tls,
    Usd,
)


class NoAuth(Section):
    """Anyone may call; all callers are the same user."""

    type: Literal["none"] = Field(description="Kind of authentication.")


class ApiKey(Section):
    """An API key and the caller it identifies."""

    name: Name = Field(description="User that a caller with this key is; appears in logs.")
    secret: SecretReference = Field(description="The key, at least 16 characters.")
    on_behalf: bool = Field(
        default=False,
        description="Whether the caller, a gateway, may name the user in the header userHeader.",
    )


class ApiKeyAuth(Section):
    """Callers send a key: `Authorization: Bearer <key>` or `X-API-Key: <key>`."""

    type: Literal["apiKey"] = Field(description="Kind of authentication.")
    keys: tuple[ApiKey, ...] = Field(min_length=1, description="Keys that are accepted.")
    user_header: HeaderName = Field(
        default="X-User-Id",
        description="Header in which a key with onBehalf names the user; default X-User-Id.",
    )


class OidcAuth(Section):
    """Callers send a JWT from an OpenID Connect issuer in `Authorization: Bearer`."""

    type: Literal["oidc"] = Field(description="Kind of authentication.")
    issuer: HttpUrl = Field(description="Issuer, exactly as in the token's iss.")
    audience: str = Field(min_length=1, max_length=2_048, description="What aud must contain.")
    user_claim: str = Field(
        default="sub",
        min_length=1,
        max_length=128,
        description="Claim that names the user; default sub.",
    )
    required_scopes: tuple[str, ...] = Field(
        default=(), description="Scopes that a token must carry; default: none."
    )
    jwks_url: HttpUrl | None = Field(
        default=None, description="Where the keys are; default: the issuer's discovery says."
    )
    clock_skew_seconds: Annotated[float, Field(ge=0, le=600)] = Field(
        default=60, description="Tolerance for exp, nbf and iat in seconds; default 60."
    )
    tls: Tls | None = Field(default=None, description="TLS towards the issuer.")


Auth = Annotated[NoAuth | ApiKeyAuth | OidcAuth, Field(discriminator="type")]


class Quota(Section):
    """Limits per period; a field left out does not limit."""

    requests_per_minute: Count | None = Field(
        default=None, description="Requests per minute; default: no limit."
    )
    tokens_per_minute: Count | None = Field(
        default=None, description="Input and output tokens per minute; default: no limit."
    )
    daily_cost_usd: Usd | None = Field(
        default=None, description="USD per day, UTC, by the price table; default: no limit."
    )


class Limits(Quota):
    """Limits of the agent as a whole; with a Redis store, all replicas share the quota."""

    per_user: Quota | None = Field(
        default=None, description="Quota of each user; default: that of the agent only."
    )
    max_steps: Count = Field(default=20, description="Model requests of one run; default 20.")
    max_tool_calls: Count = Field(default=50, description="Tool calls of one run; default 50.")
    concurrent_runs: Count = Field(
        default=50, description="Runs at once in one replica; default 50."
    )
    queue_depth: NonNegative = Field(
        default=20, description="Runs that wait for a place; more get 503. Default 20."
    )
    queue_seconds: Seconds = Field(
        default=5, description="Seconds that a run waits before it gets 503; default 5."
    )
    concurrent_streams: Count = Field(
        default=200, description="Open event streams and WebSockets of a replica; default 200."
    )
    body_bytes: Count = Field(
        default=1_048_576, description="Bytes of a request body; more get 413. Default 1048576."
    )
    tool_result_bytes: Count = Field(
        default=65_536,
        description="Bytes of a tool's result that the model sees, cut with a note; default 65536.",
    )
    run_seconds: Seconds = Field(
        default=300, description="Seconds for one run, tools included; default 300."
    )
    approval_seconds: Seconds = Field(
        default=86_400,
        description="Seconds until an unanswered approval or question expires; default 86400.",
    )
