"""Chat Completions endpoints: OpenAI, Azure, vLLM, Ollama, GPUStack and proxies."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import orjson

from fleetform_runtime.answers import TooLargeError, whole
from fleetform_runtime.messages import Assistant
from fleetform_runtime.models import ChatRequest, Kind, Listener, ModelError, wire
from fleetform_runtime.models.stream import StreamedAnswer
from fleetform_runtime.secrets import SecretMissingError, Secrets
from fleetform_runtime.sections.model import Model
from fleetform_runtime.tls import TlsFiles

FLUSH_SECONDS = 0.05
"""A stream is read at most this often, so that each wake-up handles many tokens. Users do not notice."""
LARGE = 2**20
"""Larger bodies are parsed in pieces, so that they do not block the event loop."""
LARGEST_ANSWER = 32 * 1024 * 1024
LARGEST_ERROR = 64 * 1024


def url(model: Model) -> str:
    """Return the chat completions URL of a model."""
    base = (model.endpoint or model.facts.public).rstrip("/")
    if base.endswith("/chat/completions"):
        return base
    if model.provider == "azure":
        version = model.api_version or "2024-10-21"
        if "/deployments/" not in base:
            base = f"{base.removesuffix('/openai')}/openai/deployments/{model.name}"
        return f"{base}/chat/completions?api-version={version}"
    path = base.partition("://")[2].partition("/")[2]
    if not path and model.provider != "openai-compatible":
        base += "/v1"
    return f"{base}/chat/completions"


class ChatCompletionsModel:
    """Speaks the protocol over one connection pool."""

    def __init__(self, model: Model, secrets: Secrets) -> None:
        self.key = model.key
        self._model = model
        self._secrets = secrets
        self._url = url(model)
        self._tls = TlsFiles(model.tls)
        self._session: aiohttp.ClientSession | None = None

    async def respond(self, request: ChatRequest, listener: Listener | None) -> Assistant:
        """Answer one request within the configured deadlines."""
        body = orjson.dumps(wire.body(self._model, request, stream=listener is not None))
        seconds = self._model.timeouts.request_seconds
        answer = StreamedAnswer(self.key, listener) if listener is not None else None
        try:
            async with asyncio.timeout(seconds):
                if answer is None:
                    return await self._whole(body)
                return await self._streamed(body, answer)
        except TimeoutError:
            started = answer is not None and answer.told
            raise ModelError(
                "timeout", f"no answer within {seconds:g} s", started=started
            ) from None

    async def close(self) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()

    async def _whole(self, body: bytes) -> Assistant:
        async with self._post(body) as response:
            return wire.answer(await _answer(response), self.key)

    async def _streamed(self, body: bytes, answer: StreamedAnswer) -> Assistant:
        seconds = self._model.timeouts.first_token_seconds
        try:
            async with asyncio.timeout(seconds) as until_first:
                async with self._post(body, stream=True) as response:
                    if "json" in response.content_type:  # a server that does not stream
                        return _told(await _answer(response), self.key, answer.listener)
                    await self._read_stream(response, answer, until_first)
                    is_stream = response.content_type == "text/event-stream"
                return answer.answer(is_stream=is_stream)
        except ModelError as error:
            error.started = error.started or answer.told
            raise
        except TimeoutError:
            if answer.began:
                raise ModelError("timeout", "the stream stalled", started=answer.told) from None
            raise ModelError("timeout", f"no first token within {seconds:g} s") from None

    async def _read_stream(
        self,
        response: aiohttp.ClientResponse,
        answer: StreamedAnswer,
        until_first: asyncio.Timeout,
    ) -> None:
        content = response.content
        stalled: float | None = self._model.timeouts.first_token_seconds
        while not answer.done:
            data = await content.readany()
            if not data:
                return
            answer.feed(data)
            if answer.began and stalled is not None:
                until_first.reschedule(None)
                stalled = None
            if answer.told and not answer.done and not content.at_eof():
                await asyncio.sleep(FLUSH_SECONDS)

    @asynccontextmanager
    async def _post(
        self, body: bytes, *, stream: bool = False
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        session = self._opened()
        accept = "text/event-stream" if stream else "application/json"
        try:
            async with session.post(
                self._url,
                data=io.BytesIO(body) if len(body) > LARGE else body,
                headers={**self._headers(), "Accept": accept},
                ssl=self._tls.context() or True,
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    raw = await _start(response)
                    raise wire.error(response.status, raw, response.headers.get("Retry-After"))
                yield response
        except SecretMissingError as error:
            raise ModelError("authentication", str(error)) from None
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError) as error:
            if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
                raise
            kind: Kind = "timeout" if isinstance(error, TimeoutError) else "connection"
            raise ModelError(kind, f"{type(error).__name__}: {error}") from None
        except aiohttp.ClientError as error:
            raise ModelError("invalid", f"{type(error).__name__}: {error}") from None
        except ValueError as error:  # aiohttp's parser limits
            raise ModelError("invalid", f"{type(error).__name__}: {error}") from None

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self._model.api_key is not None:
            key = self._secrets.value(self._model.api_key)
            if self._model.provider == "azure":
                headers["api-key"] = key
            else:
                headers["Authorization"] = f"Bearer {key}"
        for name, value in self._model.headers.items():
            headers[name] = self._secrets.value(value)
        return headers

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=self._model.timeouts.connect_seconds
                ),
                auto_decompress=True,
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=2**18,
            )
        return self._session


def _told(raw: bytes, key: str, listener: Listener) -> Assistant:
    whole = wire.answer(raw, key)
    if whole.thinking:
        listener(("thinking", whole.thinking))
    if whole.text:
        listener(("text", whole.text))
    return whole


async def _answer(response: aiohttp.ClientResponse) -> bytes:
    try:
        return await whole(response, LARGEST_ANSWER)
    except TooLargeError as error:
        raise ModelError("invalid", str(error)) from None


async def _start(response: aiohttp.ClientResponse) -> bytes:
    """Return an error's body; what is beyond the bound tells nobody more."""
    try:
        return await whole(response, LARGEST_ERROR)
    except TooLargeError as error:
        return error.start
