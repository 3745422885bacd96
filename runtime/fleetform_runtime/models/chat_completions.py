"""Chat Completions endpoints: OpenAI, Azure, vLLM, Ollama, GPUStack and proxies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson

from fleetform_runtime.messages import Assistant
from fleetform_runtime.models import ChatRequest, Kind, Listener, ModelError, wire
from fleetform_runtime.models.stream import StreamedAnswer
from fleetform_runtime.net import NetError, Why
from fleetform_runtime.net.build import client
from fleetform_runtime.net.client import Reply
from fleetform_runtime.net.pauses import retry_after
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.model import Model
from fleetform_runtime.sections.tools import BearerAuth, HeaderAuth, OutboundAuth

FLUSH_SECONDS = 0.05
"""A stream is read at most this often, so that each wake-up handles many tokens. Users do not notice."""
LARGEST_ANSWER = 32 * 1024 * 1024
LARGEST_ERROR = 64 * 1024
_KINDS: dict[Why, Kind] = {
    "connection": "connection",
    "timeout": "timeout",
    "credentials": "authentication",
    "address": "refused",
    "redirect": "refused",
    "too_large": "invalid",
    "invalid": "invalid",
}


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


def _auth(model: Model) -> OutboundAuth | None:
    if model.api_key is None:
        return None
    if model.provider == "azure":
        return HeaderAuth(type="header", name="api-key", value=model.api_key)
    return BearerAuth(type="bearer", token=model.api_key)


class ChatCompletionsModel:
    """Speaks the protocol over one client."""

    def __init__(self, model: Model, secrets: Secrets) -> None:
        self.key = model.key
        self._model = model
        self._url = url(model)
        self._client = client(
            self._url,
            secrets,
            headers=model.headers,
            auth=_auth(model),
            tls=model.tls,
            connect_seconds=model.timeouts.connect_seconds,
        )

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
        """Close the connections."""
        await self._client.close()

    async def _whole(self, body: bytes) -> Assistant:
        async with self._post(body) as reply:
            return wire.answer(await reply.whole(LARGEST_ANSWER), self.key)

    async def _streamed(self, body: bytes, answer: StreamedAnswer) -> Assistant:
        seconds = self._model.timeouts.first_token_seconds
        try:
            async with asyncio.timeout(seconds) as until_first:
                async with self._post(body, stream=True) as reply:
                    if "json" in reply.media:  # a server that does not stream
                        raw = await reply.whole(LARGEST_ANSWER)
                        return _told(raw, self.key, answer.listener)
                    await self._read_stream(reply, answer, until_first)
                    is_stream = reply.media == "text/event-stream"
                return answer.answer(is_stream=is_stream)
        except ModelError as error:
            error.started = error.started or answer.told
            raise
        except TimeoutError:
            if answer.began:
                raise ModelError("timeout", "the stream stalled", started=answer.told) from None
            raise ModelError("timeout", f"no first token within {seconds:g} s") from None

    async def _read_stream(
        self, reply: Reply, answer: StreamedAnswer, until_first: asyncio.Timeout
    ) -> None:
        stalled: float | None = self._model.timeouts.first_token_seconds
        while not answer.done:
            data = await reply.some()
            if not data:
                return
            answer.feed(data)
            if answer.began and stalled is not None:
                until_first.reschedule(None)
                stalled = None
            if answer.told and not answer.done and not reply.at_end():
                await asyncio.sleep(FLUSH_SECONDS)

    @asynccontextmanager
    async def _post(self, body: bytes, *, stream: bool = False) -> AsyncIterator[Reply]:
        accept = "text/event-stream" if stream else "application/json"
        headers = {"Content-Type": "application/json", "Accept": accept}
        try:
            async with self._client.open("POST", self._url, headers=headers, body=body) as reply:
                if reply.status != 200:
                    raw = await reply.start(LARGEST_ERROR)
                    raise wire.error(reply.status, raw, retry_after(reply.headers))
                yield reply
        except NetError as error:
            raise ModelError(_KINDS[error.why], str(error)) from None


def _told(raw: bytes, key: str, listener: Listener) -> Assistant:
    whole = wire.answer(raw, key)
    if whole.thinking:
        listener(("thinking", whole.thinking))
    if whole.text:
        listener(("text", whole.text))
    return whole
