"""Chat Completions endpoints: OpenAI, Azure, vLLM, Ollama, GPUStack and proxies."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from fleetform_runtime import jsons
from fleetform_runtime.messages import Assistant, File, Image, Part, ToolResults, User
from fleetform_runtime.models import ChatRequest, Delta, Kind, Listener, ModelError, failures, wire
from fleetform_runtime.models.stream import StreamedAnswer
from fleetform_runtime.net import NetError, Why
from fleetform_runtime.net.build import client
from fleetform_runtime.net.client import Reply
from fleetform_runtime.net.pauses import retry_after
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.base import SecretReference
from fleetform_runtime.sections.model import Model, ProviderFacts
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


class Endpoint(Protocol):
    """What says where a model is asked, whatever it is asked for."""

    @property
    def provider(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def endpoint(self) -> str | None: ...  # noqa: D102
    @property
    def api_version(self) -> str | None: ...  # noqa: D102
    @property
    def api_key(self) -> SecretReference | None: ...  # noqa: D102
    @property
    def facts(self) -> ProviderFacts: ...  # noqa: D102


CHAT = "chat/completions"


def url(model: Endpoint, what: str = CHAT) -> str:
    """Return the URL of a model for chats, or for something else."""
    base = (model.endpoint or model.facts.public).rstrip("/")
    if base.endswith(f"/{what}"):
        return base
    base = base.removesuffix(f"/{CHAT}")
    if model.provider == "azure":
        version = model.api_version or "2024-10-21"
        if "/deployments/" not in base:
            base = f"{base.removesuffix('/openai')}/openai/deployments/{model.name}"
        return f"{base}/{what}?api-version={version}"
    path = base.partition("://")[2].partition("/")[2]
    if not path and model.provider != "openai-compatible":
        base += "/v1"
    return f"{base}/{what}"


def auth(model: Endpoint) -> OutboundAuth | None:
    """Return how a request to a model carries its key."""
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
        self._without: frozenset[str] = frozenset()
        """What the server has refused although we may leave it out."""
        self._url = url(model)
        self._client = client(
            self._url,
            secrets,
            headers=model.headers,
            auth=auth(model),
            tls=model.tls,
            connect_seconds=model.timeouts.connect_seconds,
        )

    async def respond(self, request: ChatRequest, listener: Listener | None) -> Assistant:
        """Answer one request within the configured deadlines."""
        seconds = self._model.timeouts.request_seconds
        answer = StreamedAnswer(self.key, listener, self._model.source) if listener else None
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        return await self._asked(request, answer)
                    except ModelError as error:
                        if not self._leave_out(error, request):
                            raise failures.of_setting(error, request) from None
        except TimeoutError:
            started = answer is not None and answer.told
            raise ModelError(
                "timeout", f"no answer within {seconds:g} s", started=started
            ) from None

    async def _asked(self, request: ChatRequest, answer: StreamedAnswer | None) -> Assistant:
        asked = wire.body(self._model, request, stream=answer is not None, without=self._without)
        body = jsons.write(asked)
        return await self._whole(body) if answer is None else await self._streamed(body, answer)

    def _leave_out(self, error: ModelError, request: ChatRequest) -> bool:
        """Note what of a refused request is only a wish of ours; return whether another try may help."""
        if error.status not in (400, 422):
            return False
        wishes = {*wire.OPTIONAL, "max_tokens", "max_completion_tokens"} - {*request.overrides}
        named = {wish for wish in wishes if re.search(rf"\b{wish}\b", error.detail)}
        if {"max_tokens", "max_completion_tokens"} <= named:  # "use the other one instead"
            named -= {"max_completion_tokens", *self._without}
        state = {
            name for m in request.messages if isinstance(m, Assistant) for name in m.state or ()
        }
        if any(re.search(rf"\b{re.escape(name)}\b", error.detail) for name in state):
            named.add("state")
        named |= {
            kind
            for kind, sign in _SEEING.items()
            if sign.search(error.detail) and _has(request, kind)
        }
        fresh = named - self._without
        self._without |= fresh
        return bool(fresh)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _whole(self, body: bytes) -> Assistant:
        async with self._post(body) as reply:
            raw = await reply.whole(LARGEST_ANSWER)
            if reply.media == "text/event-stream" and not raw.lstrip().startswith(b"{"):
                # a server that always streams
                answer = StreamedAnswer(self.key, _unheard, self._model.source)
                answer.feed(raw)
                answer.end()
                return answer.answer()
            return wire.answer(_UNDONE.sub(b"", raw), self.key, self._model.source)

    async def _streamed(self, body: bytes, answer: StreamedAnswer) -> Assistant:
        seconds = self._model.timeouts.first_token_seconds
        try:
            async with asyncio.timeout(seconds) as until_first:
                async with self._post(body, stream=True) as reply:
                    if "json" in reply.media:  # a server that does not stream
                        raw = await reply.whole(LARGEST_ANSWER)
                        return _told(raw, self.key, self._model.source, answer.listener)
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
        patience: float | None = self._model.timeouts.first_token_seconds
        while not answer.done:
            data = await reply.some()
            if not data:
                answer.end()
                return
            answer.feed(data)
            if patience is not None:
                if answer.began:
                    patience = None
                    until_first.reschedule(None)
                else:  # a comment, or an event without content: the server lives, and is thinking
                    until_first.reschedule(asyncio.get_running_loop().time() + patience)
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
                    raise failures.failure(reply.status, raw, retry_after(reply.headers))
                yield reply
        except NetError as error:
            raise ModelError(_KINDS[error.why], str(error)) from None


_UNDONE = re.compile(rb"\s*data:\s*\[DONE\]\s*\Z")
"""The end of a stream that some servers send behind an answer that is none."""
_SEEING = {
    "images": re.compile(
        r"image|vision|multi-?modal|unsupported content|content.{0,40}(type|string)", re.IGNORECASE
    ),
    "files": re.compile(
        r"\bfiles?\b|document|pdf|unsupported content|content.{0,40}(type|string)", re.IGNORECASE
    ),
}
"""Words of a server that refuses what its model cannot see."""


def _has(request: ChatRequest, kind: str) -> bool:
    """Whether a conversation has images, or files."""
    seen: list[Part] = []
    for message in request.messages:
        if isinstance(message, User) and not isinstance(message.content, str):
            seen += message.content
        elif isinstance(message, ToolResults):
            seen += [image for result in message.results for image in result.images]
    return any(isinstance(part, Image if kind == "images" else File) for part in seen)


def _unheard(delta: Delta) -> None:
    del delta


def _told(raw: bytes, key: str, source: str, listener: Listener) -> Assistant:
    whole = wire.answer(raw, key, source)
    if whole.thinking:
        listener(("thinking", whole.thinking))
    if whole.text:
        listener(("text", whole.text))
    return whole
