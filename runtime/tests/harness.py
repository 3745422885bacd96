"""The real server on loopback in the test's own event loop, and a client that reads its events."""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from fleetform_runtime.application import Application
from fleetform_runtime.messages import Assistant
from fleetform_runtime.models import ChatModel, ChatRequest, Listener
from fleetform_runtime.models.scripted import ScriptedModel
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.model import Model
from fleetform_runtime.server import Process, bound
from fleetform_runtime.settings import Prompts, Settings

BASE: dict[str, Any] = {
    "contract": 1,
    "agent": {"name": "greeter", "namespace": "demo"},
    "prompt": {"system": {"file": "system-prompt.md"}},
    "model": {"provider": "openai", "name": "gpt"},
    "auth": {"type": "none"},
}


def settings(**changes: Any) -> Settings:
    return Settings.model_validate_json(json.dumps(BASE | changes))


@dataclass
class Reply:
    """An answer that was read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Event:
    """One server-sent event."""

    id: int
    type: str
    data: dict[str, Any]


@dataclass
class Client:
    """A caller of one server."""

    url: str
    session: aiohttp.ClientSession
    metrics_url: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    application: Application | None = None
    process: Process | None = None

    async def ask(self, method: str, path: str, **options: Any) -> Reply:
        headers = self.headers | options.pop("headers", {})
        async with self.session.request(
            method, self.url + path, headers=headers, **options
        ) as answer:
            return Reply(answer.status, answer.headers, await answer.read())

    async def get(self, path: str, **options: Any) -> Reply:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, body: Any, **options: Any) -> Reply:
        return await self.ask("POST", path, json=body, **options)

    async def chat(self, message: str, **fields: Any) -> Any:
        reply = await self.post("/chat", {"message": message, **fields})
        assert reply.status == 200, reply.body
        return reply.json

    async def events(
        self, path: str, body: Any = None, method: str = "POST", **options: Any
    ) -> list[Event]:
        """Read a stream to its end."""
        headers = self.headers | {"Accept": "text/event-stream"} | options.pop("headers", {})
        async with self.session.request(
            method, self.url + path, json=body, headers=headers, **options
        ) as answer:
            assert answer.status == 200, await answer.text()
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            return parse((await answer.read()).decode())

    async def scrape(self) -> str:
        async with self.session.get(self.metrics_url) as answer:
            return await answer.text()

    async def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's values with these labels."""
        from prometheus_client.parser import text_string_to_metric_families

        return sum(
            sample.value
            for family in text_string_to_metric_families(await self.scrape())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


async def until(condition: Callable[[], Any], seconds: float = 120) -> None:
    """Wait until a function, plain or not, returns something true; the seconds only bound a hang."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if await found if inspect.isawaitable(found) else found:
                return
            await asyncio.sleep(0.01)


async def live_run(client: Client) -> str:
    """Wait until a run goes on, and return which."""
    assert client.application is not None
    live = client.application.runs.registry._live
    await until(lambda: live)
    (run,) = live
    return run


def parse(text: str) -> list[Event]:
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            fields = dict(line.split(": ", 1) for line in lines)
            found.append(Event(int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


Make = Callable[[Model, Secrets], ChatModel]


def scripted(model: Model, _: Secrets) -> ChatModel:
    return ScriptedModel(model.key)


@asynccontextmanager
async def serving(
    *,
    make: Make = scripted,
    environment: Mapping[str, str] | None = None,
    prompt: str = "You help.",
    prompts: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    port: int = 0,
    **changes: Any,
) -> AsyncIterator[Client]:
    """Serve an agent; the sections given replace those of the base."""
    application = Application(
        settings(**changes), Prompts(prompt, prompts or {}), Secrets(environment or {}), make
    )
    process = Process(application, bound("127.0.0.1", port), bound("127.0.0.1", 0))
    task = asyncio.create_task(process.run())
    try:
        while not process.listening and not task.done():
            await asyncio.sleep(0.005)
        async with aiohttp.ClientSession() as session:
            yield Client(
                process.address,
                session,
                process.metrics_address,
                dict(headers or {}),
                application,
                process,
            )
    finally:
        process.stop()
        await task


class Gated(ScriptedModel):
    """A model that answers once it is let; `waiting` says how many requests stand before it."""

    def __init__(self) -> None:
        super().__init__("gpt")
        self.gate = asyncio.Event()
        self.waiting = 0

    async def respond(self, request: ChatRequest, listener: Listener | None) -> Assistant:
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        return await super().respond(request, listener)

    def __call__(self, model: Model, _: Secrets) -> ChatModel:
        return self


class Told:
    """A model that answers what a test tells it to, and remembers what it was asked."""

    def __init__(self, *answers: Assistant | Exception, key: str = "gpt") -> None:
        self.key = key
        self.answers = list(answers)
        self.asked: list[ChatRequest] = []

    async def respond(self, request: ChatRequest, listener: Listener | None) -> Assistant:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if listener is not None and answer.text:
            listener(("text", answer.text))
        return Assistant(answer.text, answer.thinking, list(answer.calls), answer.usage, self.key)

    async def close(self) -> None:
        pass

    def __call__(self, model: Model, _: Secrets) -> ChatModel:
        return self
