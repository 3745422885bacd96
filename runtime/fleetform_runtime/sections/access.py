"""Who may call an agent, and how much."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

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

    type: Literal["none"] = Field(description="Type of authentication.")


class ApiKey(Section):
    """An API key and the caller it identifies."""

    name: Name = Field(description="User name of the caller with this key; appears in logs.")
    secret: SecretReference = Field(description="The key, at least 16 characters.")
    on_behalf: bool = Field(
        default=False,
        description="Whether the caller, a gateway, may pass the user in the header userHeader.",
    )


class ApiKeyAuth(Section):
    """Callers send a key: `Authorization: Bearer <key>` or `X-API-Key: <key>`."""

    type: Literal["apiKey"] = Field(description="Type of authentication.")
    keys: tuple[ApiKey, ...] = Field(min_length=1, description="Keys that are accepted.")
    user_header: HeaderName = Field(
        default="X-User-Id",
        description="Header in which a caller with onBehalf passes the user; default X-User-Id.",
    )


class OidcAuth(Section):
    """Callers send a JWT from an OpenID Connect issuer in `Authorization: Bearer`."""

    type: Literal["oidc"] = Field(description="Type of authentication.")
    issuer: HttpUrl = Field(description="Issuer, exactly as in the token's iss.")
    audience: str = Field(min_length=1, max_length=2_048, description="What aud must contain.")
    user_claim: str = Field(
        default="sub",
        min_length=1,
        max_length=128,
        description="Claim that contains the user; default sub.",
    )
    roles_claim: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="Claim that contains the caller's roles, a text or a list of them; with dots between members, "
        "such as realm_access.roles. Default: callers have no roles.",
    )
    required_scopes: tuple[str, ...] = Field(
        default=(), description="Scopes that a token must carry; default: none."
    )
    jwks_url: HttpUrl | None = Field(
        default=None, description="URL of the keys; default: from the issuer's discovery document."
    )
    client_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="Public client of the issuer by which people sign in on the agent's page, with PKCE; default: they paste a token.",
    )
    scopes: tuple[Annotated[str, Field(pattern=r"^[!#-\[\]-~]{1,128}$")], ...] = Field(
        default=("openid",),
        max_length=32,
        description="Scopes that the page asks for; default openid.",
    )
    clock_skew_seconds: Annotated[float, Field(ge=0, le=600)] = Field(
        default=60, description="Tolerance for exp, nbf and iat in seconds; default 60."
    )
    tls: Tls | None = Field(default=None, description="TLS for connections to the issuer.")


Auth = Annotated[NoAuth | ApiKeyAuth | OidcAuth, Field(discriminator="type")]


class Approvers(Section):
    """Callers that may decide; one of them is enough."""

    keys: tuple[Annotated[str, Field(min_length=1, max_length=512)], ...] = Field(
        default=(),
        description="Names of API keys; for a user of a key with onBehalf `<key>/<user>`. Default: none.",
    )
    roles: tuple[Annotated[str, Field(min_length=1, max_length=256)], ...] = Field(
        default=(), description="Roles of callers, from rolesClaim. Default: none."
    )

    @model_validator(mode="after")
    def _name_somebody(self) -> Self:
        if not (self.keys or self.roles):
            raise ValueError("approvers name neither keys nor roles")
        return self


class Webhook(Section):
    """Who is told when a run waits for people, is decided on, or expires."""

    url: HttpUrl = Field(
        description="URL that is sent a POST; with format slack the origin of the one in the secret."
    )
    secret: SecretReference = Field(
        description="Key of the signature (HMAC with SHA-256), at least 16 characters; with format slack the whole "
        "URL of the incoming webhook."
    )
    format: Literal["json", "slack"] = Field(
        default="json", description="Form of what is sent; default json."
    )
    include_arguments: bool = Field(
        default=False,
        description="Whether the arguments of the calls are in it; default False.",
    )


class Approvals(Section):
    """Who decides on calls that need approval, and who is told of them."""

    approvers: Approvers | None = Field(
        default=None,
        description="Callers that decide on the calls of everybody's runs; default: whoever asked.",
    )
    webhook: Webhook | None = Field(
        default=None, description="Who is told when a run waits for people; default: nobody."
    )
    self_: bool = Field(
        default=False,
        alias="self",
        description="Whether approvers may decide on calls of their own runs; default False.",
    )

    @model_validator(mode="after")
    def _have_an_effect(self) -> Self:
        if self.approvers is None and (self.self_ or self.webhook is None):
            raise ValueError("approvals name no approvers")
        return self


class Quota(Section):
    """Limits per period; a field left out does not limit."""

    requests_per_minute: Count | None = Field(
        default=None, description="Requests per minute; default: no limit."
    )
    tokens_per_minute: Count | None = Field(
        default=None, description="Input and output tokens per minute; default: no limit."
    )
    daily_cost_usd: Usd | None = Field(
        default=None,
        description="USD per day (UTC), from the configured prices; default: no limit.",
    )


class Limits(Quota):
    """Limits of the agent as a whole; with a Redis store, all replicas share the quota."""

    per_user: Quota | None = Field(
        default=None, description="Quota of each user; default: only that of the agent."
    )
    max_steps: Count = Field(default=20, description="Model requests per run; default 20.")
    max_tool_calls: Count = Field(default=50, description="Tool calls per run; default 50.")
    concurrent_runs: Count = Field(
        default=50, description="Concurrent runs per replica; default 50."
    )
    queue_depth: NonNegative = Field(
        default=20, description="Runs waiting in the queue; further ones get 503. Default 20."
    )
    queue_seconds: Seconds = Field(
        default=5, description="Seconds that a run waits before it gets 503; default 5."
    )
    concurrent_streams: Count = Field(
        default=200, description="Open event streams and WebSockets per replica; default 200."
    )
    body_bytes: Count = Field(
        default=1_048_576,
        description="Maximum size in bytes of a request body without its images and files; larger ones get "
        "413. Default 1048576.",
    )
    attachment_bytes: NonNegative = Field(
        default=8_388_608,
        description="Maximum size in bytes, as base64, of the images and files of one message; more gets 413. "
        "Default 8388608.",
    )
    tool_result_bytes: Count = Field(
        default=65_536,
        description="Maximum size in bytes of a tool's result, truncated with a note; default 65536.",
    )
    agent_hops: Count = Field(
        default=5,
        description="Agents that may call each other in a row, this one included; more get 508. Default 5.",
    )
    run_seconds: Seconds = Field(
        default=300, description="Seconds for one run, including tools; default 300."
    )
    approval_seconds: Seconds = Field(
        default=86_400,
        description="Seconds until an unanswered approval or question expires; default 86400.",
    )
