"""The circuit breaker of a model with a fallback, by a clock of the test's own."""

import asyncio

import pytest

from fleetform_runtime.messages import Assistant, User
from fleetform_runtime.models import ChatRequest, ModelError
from fleetform_runtime.models.upstream import (
    BREAKER_FAILURES,
    BREAKER_SECONDS,
    Candidate,
    Upstream,
)
from fleetform_runtime.sections.model import Model
from fleetform_runtime.telemetry.metrics import Metrics

pytestmark = pytest.mark.anyio


class Down:
    """A model that fails until it is up, and takes its time for either."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_up = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def respond(self, request, listener):
        self.asked += 1
        await self.answers.wait()
        if self.is_up:
            return Assistant(text="first")
        raise ModelError("server_error", "down")

    async def close(self):
        """Nothing is open."""


class Up(Down):
    async def respond(self, request, listener):
        return Assistant(text="second")


class Line:
    """A model that is down, its fallback, and a clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.first = Down()
        made = [(self.first, "a"), (Up(), "b")]
        candidates = [
            Candidate(Model(provider="openai", name=name, retries=0), model) for model, name in made
        ]
        self.upstream = Upstream(candidates, Metrics("agent"), clock=lambda: self.now)

    async def ask(self, times: int = 1) -> list[str]:
        """Ask at once, as often as told; return who answered."""
        request = ChatRequest("", [User("hi")])
        answers = await asyncio.gather(
            *(self.upstream.respond(request, None) for _ in range(times))
        )
        return [answer.text for answer in answers]


async def opened() -> Line:
    """Return a line whose breaker has opened just now."""
    made = Line()
    for _ in range(BREAKER_FAILURES):
        assert await made.ask() == ["second"]
    assert await made.ask(5) == ["second"] * 5
    assert made.first.asked == BREAKER_FAILURES
    made.first.asked = 0
    return made


async def test_one_request_finds_out_whether_the_model_is_up_again():
    line = await opened()
    line.now += BREAKER_SECONDS
    line.first.answers.clear()
    waiting = asyncio.create_task(line.ask(30))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    line.first.is_up = True
    line.first.answers.set()
    assert sorted(await waiting) == ["first"] + ["second"] * 29
    assert line.first.asked == 1
    assert await line.ask(3) == ["first"] * 3


async def test_a_model_that_is_still_down_is_left_alone_again():
    line = await opened()
    line.now += BREAKER_SECONDS
    assert await line.ask(30) == ["second"] * 30
    assert line.first.asked == 1
    line.now += BREAKER_SECONDS / 2
    assert await line.ask(30) == ["second"] * 30
    assert line.first.asked == 1


async def test_a_request_that_is_given_up_keeps_nobody_out_for_good():
    line = await opened()
    line.now += BREAKER_SECONDS
    line.first.answers.clear()
    waiting = asyncio.create_task(line.ask())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert line.first.asked == 1
    waiting.cancel()
    line.first.answers.set()
    line.first.is_up = True
    assert await line.ask() == ["second"]
    line.now += BREAKER_SECONDS
    assert await line.ask() == ["first"]
