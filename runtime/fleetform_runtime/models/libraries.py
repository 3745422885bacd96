"""Providers with protocols of their own, through pydantic-ai: how they are reached, and what their errors mean.

Only this module and those that ask through it use that library; the image needs it only with one of its extras.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

import httpx2
from pydantic_ai import exceptions
from pydantic_ai.providers import Provider

from fleetform_runtime import jsons
from fleetform_runtime.models import Kind, ModelError, failures
from fleetform_runtime.net.library import LibraryTransport
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.base import SecretReference, Timeouts, Tls

Close = Callable[[], Awaitable[None]]

_SERVICE = "bedrock-runtime"
_KINDS: tuple[tuple[type[Exception], Kind], ...] = (
    (exceptions.ModelContextWindowExceededError, "context"),
    (exceptions.ModelAuthenticationError, "authentication"),
    (exceptions.ModelQuotaExceededError, "refused"),
    (exceptions.ModelRateLimitError, "rate_limited"),
    (exceptions.ModelTimeoutError, "timeout"),
    (exceptions.ModelRequestTimeout, "timeout"),
    (exceptions.ModelConnectionError, "connection"),
    (exceptions.ModelRequestRejectedError, "refused"),
    (exceptions.ModelServerError, "server_error"),
    (exceptions.ModelUnavailableError, "server_error"),
    (exceptions.ModelOverloadedError, "server_error"),
)


Made = TypeVar("Made")


class ForKey(Generic[Made]):
    """What a library asks with, which is made when it is first needed, and again when its key has changed."""

    def __init__(
        self,
        reference: SecretReference | None,
        secrets: Secrets,
        make: Callable[[str | None], tuple[Made, Close]],
    ) -> None:
        self._reference = reference
        self._secrets = secrets
        self._make = make
        self._made: tuple[str | None, Made, Close] | None = None

    async def current(self) -> Made:
        """Return it.

        Raises:
            SecretMissingError: the key cannot be read.
        """
        key = self._secrets.value(self._reference) if self._reference is not None else None
        if self._made is None or self._made[0] != key:
            await self.close()
            self._made = (key, *self._make(key))
        return self._made[1]

    async def close(self) -> None:
        """Close the library's connections."""
        made, self._made = self._made, None
        if made is not None:
            await made[2]()


class Reached(Protocol):
    """Settings that say where a provider is asked."""

    @property
    def provider(self) -> str:
        """Return its name."""

    @property
    def endpoint(self) -> str | None:
        """Return the base URL, None for the provider's own."""

    @property
    def region(self) -> str | None:
        """Return the region of its cloud."""

    @property
    def project(self) -> str | None:
        """Return the project of its cloud."""

    @property
    def tls(self) -> Tls | None:
        """Return how an https endpoint is verified."""

    @property
    def timeouts(self) -> Timeouts:
        """Return the deadlines of a request."""


def provider(settings: Reached, key: str | None) -> tuple[Provider[Any], Close]:
    """Return the library's access to a provider, and the function that closes it.

    Without a key the pod's own identity is used, if the provider supports it.
    """
    if settings.provider == "bedrock":
        return _bedrock(settings, key)
    client = httpx2.AsyncClient(
        transport=LibraryTransport(settings.tls, settings.timeouts.connect_seconds),
        timeout=None,
        trust_env=False,
    )
    return _OVER_HTTP[settings.provider](settings, key, client), client.aclose


def _anthropic(settings: Reached, key: str | None, client: Any) -> Provider[Any]:
    from pydantic_ai.providers.anthropic import AnthropicProvider  # noqa: PLC0415

    return AnthropicProvider(api_key=key or "", base_url=settings.endpoint, http_client=client)


def _google(settings: Reached, key: str | None, client: Any) -> Provider[Any]:
    if settings.project:
        from pydantic_ai.providers.google_cloud import GoogleCloudProvider  # noqa: PLC0415

        return GoogleCloudProvider(
            project=settings.project,
            location=settings.region,
            base_url=settings.endpoint,
            http_client=client,
        )
    from pydantic_ai.providers.google import GoogleProvider  # noqa: PLC0415

    return GoogleProvider(api_key=key or "", base_url=settings.endpoint, http_client=client)


_OVER_HTTP = {"anthropic": _anthropic, "google": _google}
"""Providers whose library accepts our HTTP client; Bedrock's brings its own."""


def _bedrock(settings: Reached, key: str | None) -> tuple[Provider[Any], Close]:
    from pydantic_ai.providers.bedrock import BedrockProvider  # noqa: PLC0415

    options: dict[str, Any] = {"api_key": key} if key else {}
    made = BedrockProvider(
        region_name=settings.region,
        base_url=settings.endpoint,
        aws_read_timeout=settings.timeouts.request_seconds,
        aws_connect_timeout=settings.timeouts.connect_seconds,
        **options,
    )
    events = made.client.meta.events
    # We do all retrying ourselves; botocore cannot be configured after its client is created.
    events.unregister(f"needs-retry.{_SERVICE}", unique_id=f"retry-config-{_SERVICE}")

    async def close() -> None:
        made.client.close()

    return made, close


def failure(error: exceptions.ModelAPIError, *, told: bool) -> ModelError:
    """Return what an error of the library means; `told`: a part of the answer has been passed on."""
    kind: Kind = next((kind for known, kind in _KINDS if isinstance(error, known)), "invalid")
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        body = getattr(error, "body", None)
        raw = jsons.write(body) if body is not None else str(error).encode()
        said = failures.failure(status, raw)
        if said.kind in ("context", "filtered") or kind == "invalid":
            kind = said.kind
    wait = getattr(error, "retry_after", None)
    made = ModelError(
        kind,
        str(error)[:500],
        status=status,
        retry_after=float(wait) if isinstance(wait, int | float) else None,
        started=told,
    )
    made.window = said.window if isinstance(status, int) else None
    return made
