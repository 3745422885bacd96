"""All routes of the HTTP API."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from starlette.requests import Request

from fleetform_runtime.http.chat import Chat, ChatBody, Streams
from fleetform_runtime.http.errors import Json
from fleetform_runtime.http.health import Health
from fleetform_runtime.http.openai import Completion, OpenAi
from fleetform_runtime.http.openapi import document
from fleetform_runtime.http.responses import Creation, Responses
from fleetform_runtime.http.router import Route
from fleetform_runtime.http.runs import Decisions, RunRoutes
from fleetform_runtime.http.sessions import NewSession, SessionChange, SessionRoutes
from fleetform_runtime.problems import not_kept
from fleetform_runtime.runs.service import Runs
from fleetform_runtime.sections.serving import Health as HealthPaths
from fleetform_runtime.settings import Settings

EVENTS = "text/event-stream"
BOTH = f"application/json, {EVENTS}"

Answer = Callable[[Request], Awaitable[Json]]


def routes(
    settings: Settings, runs: Runs, streams: Streams, health: Health, info: Answer
) -> list[Route]:
    """Return every route; the OpenAPI document is built from the others."""
    agent = settings.agent.name
    chat = Chat(agent, runs, streams, settings.limits, settings.server)
    openai = OpenAi(agent, runs, chat)
    responses = Responses(agent, runs, chat)
    kept = [
        *_sessions(SessionRoutes(runs.sessions, runs, chat)),
        *_runs(RunRoutes(runs, chat), chat),
    ]
    keeps = settings.keeps
    described = [
        *_chat(chat),
        *_openai(openai, responses),
        *(kept if keeps else ()),
        Route("GET", "/info", info, summary="Show version and configuration hash"),
        *_probes(health, settings.health),
    ]
    openapi = document(agent, settings.agent.description or "", described)

    async def show(_: Request) -> Json:
        return Json(openapi)

    refused = () if keeps else (replace(route, handler=_refuse) for route in kept)
    return [*described, *refused, Route("GET", "/openapi.json", show, public=True)]


async def _refuse(request: Request) -> Json:
    raise not_kept(f"it has no {request.url.path.split('/')[1]}")


def _chat(chat: Chat) -> list[Route]:
    alias = "Chat with the agent by name"
    return [
        Route(
            "POST", "/chat", chat.chat, summary="Chat with the agent", body=ChatBody, answer=BOTH
        ),
        Route("POST", "/agents/{name}/chat", chat.alias, summary=alias, body=ChatBody, answer=BOTH),
    ]


def _openai(openai: OpenAi, responses: Responses) -> list[Route]:
    path, summary = "/v1/chat/completions", "Use the agent as a model"
    other, respond = "/v1/responses", "Use the agent as a model, in items"
    return [
        Route("POST", path, openai.complete, summary=summary, body=Completion, answer=BOTH),
        Route("POST", other, responses.create, summary=respond, body=Creation, answer=BOTH),
        Route("GET", "/v1/models", openai.models, summary="List models"),
        Route("GET", "/v1/models/{id}", openai.model, summary="Show a model"),
    ]


def _sessions(sessions: SessionRoutes) -> list[Route]:
    one, change = "/sessions/{id}", "Change a session's title or model"
    return [
        Route("GET", "/sessions", sessions.list, summary="List sessions"),
        Route("POST", "/sessions", sessions.create, summary="Create a session", body=NewSession),
        Route("GET", one, sessions.get, summary="Get a session"),
        Route("PATCH", one, sessions.change, summary=change, body=SessionChange),
        Route("DELETE", one, sessions.delete, summary="Delete a session"),
        Route("GET", f"{one}/messages", sessions.messages, summary="List messages"),
    ]


def _runs(run: RunRoutes, chat: Chat) -> list[Route]:
    one, follow = "/runs/{id}", "Follow a run from an event on"
    decide = "Decide on pending calls"
    return [
        Route("GET", "/runs", run.list, summary="List runs that wait for a person"),
        Route("GET", one, run.get, summary="Show a run"),
        Route("GET", f"{one}/events", chat.follow, summary=follow, answer=EVENTS),
        Route("POST", f"{one}/cancel", run.cancel, summary="Stop a run"),
        Route("POST", f"{one}/approvals", run.decide, summary=decide, body=Decisions, answer=BOTH),
    ]


def _probes(health: Health, paths: HealthPaths) -> list[Route]:
    chosen: dict[str, Callable[[Any], Any]] = {
        "/healthz": health.live,
        "/readyz": health.ready,
        "/health": health.live,
        "/health/ready": health.ready,
        "/health/startup": health.startup,
        paths.live_path: health.live,
        paths.ready_path: health.ready,
        paths.startup_path: health.startup,
    }
    return [
        Route("GET", path, probe, public=True, silent=True, summary="Probe")
        for path, probe in chosen.items()
    ]
