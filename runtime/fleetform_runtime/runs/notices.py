"""The webhook of approvals: told when a run waits for people, is decided on, or expires; never waited for."""

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from fleetform_runtime.messages import moment
from fleetform_runtime.net import NetError, again
from fleetform_runtime.net.addresses import origin
from fleetform_runtime.net.build import client
from fleetform_runtime.secrets import SecretMissingError, Secrets
from fleetform_runtime.sections.access import Webhook
from fleetform_runtime.store import StoreError
from fleetform_runtime.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

SECONDS = 10.0
CLOSE_SECONDS = 2.0
LARGEST_ANSWER = 64 * 1024
TRIES = 5
MOST_AT_ONCE = 200
"""Notices on their way; further ones are lost, and what waits is told by the next sweep."""
MOST_SHOWN = 16_384
"""Characters of a text for people."""
SHORTEST_KEY = 16

Told = Callable[[], Awaitable[None]]


class Notices:
    """Sends what it is told in the background; whoever tells never waits."""

    def __init__(
        self,
        settings: Webhook,
        agent: str,
        namespace: str,
        secrets: Secrets,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._about = {"agent": agent, "namespace": namespace}
        self._secrets = secrets
        self._metrics = metrics
        self._clock = clock
        self._client = client(settings.url, secrets)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def tell(self, kind: str, run: str, said: dict[str, Any], told: Told | None = None) -> None:
        """Send a notice of a kind (waiting, decided, cancelled, expired) about a run, unless it is on its way.

        `told` is called once the webhook has taken it.
        """
        name = f"{kind}:{run}"
        if name in self._tasks:
            return
        if len(self._tasks) >= MOST_AT_ONCE:
            self._lost(name, "too many are on their way")
            return
        body = {"type": f"approval.{kind}", **self._about, "run_id": run, **self._shown(said)}
        task = self._tasks[name] = asyncio.create_task(self._send(name, body, told))
        task.add_done_callback(lambda _: self._tasks.pop(name, None))

    async def close(self) -> None:
        """Give what is on its way a moment, and close the connections."""
        tasks = list(self._tasks.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._client.close()

    async def _send(self, name: str, body: dict[str, Any], told: Told | None) -> None:
        try:
            why = await self._tried(name, body)
            if why is None and told is not None:
                await self._noted(name, told)
        except asyncio.CancelledError:
            self._lost(name, "the process ends")
            raise
        except (NetError, SecretMissingError) as error:
            why = str(error)
        except Exception:
            log.exception("a notice failed")
            why = "it failed"
        if why is None:
            self._metrics.count("agent_approval_notices_total", "told")
        else:
            self._lost(name, why)

    async def _noted(self, name: str, told: Told) -> None:
        try:
            await told()
        except StoreError as error:
            log.warning("the webhook of approvals may be told of %s again: %s", name, error)

    async def _tried(self, name: str, body: dict[str, Any]) -> str | None:
        """Send a few times; return why it was not taken.

        Raises:
            NetError: there was no answer.
            SecretMissingError: the secret cannot be read.
        """
        url, headers, data = self._written(name, body)
        answer = await again.sent(
            lambda: self._client.send(
                "POST", url, seconds=SECONDS, most=LARGEST_ANSWER, headers=headers, body=data
            ),
            TRIES,
            lambda status: status >= 500 or status in (408, 429),
            first=2,
        )
        return None if 200 <= answer.status < 300 else f"it answered {answer.status}"

    def _written(self, name: str, body: dict[str, Any]) -> tuple[str, dict[str, str], bytes]:
        """Return URL, headers and body of a request.

        Raises:
            NetError: the secret is none for this webhook.
        """
        secret = self._secrets.value(self._settings.secret).strip()
        headers = {"Content-Type": "application/json", "Fleetform-Delivery": name}
        if self._settings.format == "slack":
            if not _is_of(secret, self._settings.url):
                raise NetError("invalid", "the secret is no URL of the webhook's origin")
            return secret, headers, orjson.dumps({"text": text_of(body)})
        if len(secret) < SHORTEST_KEY:
            raise NetError("credentials", f"the key has fewer than {SHORTEST_KEY} characters")
        data, at = orjson.dumps(body), str(int(self._clock()))
        headers |= {"Fleetform-Timestamp": at, "Fleetform-Signature": signature(secret, at, data)}
        return self._settings.url, headers, data

    def _shown(self, said: dict[str, Any]) -> dict[str, Any]:
        """Return what may be told: of calls their names, and their arguments only where that is said."""
        shown = ("args",) if self._settings.include_arguments else ()
        names = ("id", "type", "agent", "server", "name", *shown)
        calls = [
            {name: call[name] for name in names if name in call} for call in said.get("calls", ())
        ]
        return {**said, "calls": calls} if "calls" in said else said

    def _lost(self, name: str, why: str) -> None:
        self._metrics.count("agent_approval_notices_total", "lost")
        log.warning("the webhook of approvals was not told of %s: %s", name, why)


def signature(key: str, at: str, body: bytes) -> str:
    """Return what proves that a body was sent at a time, in seconds since 1970, by who has the key."""
    return "v1=" + hmac.new(key.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def text_of(body: dict[str, Any]) -> str:
    """Return a notice as a text for people; nothing in it is markup of theirs."""
    agent, run = f"{body['namespace']}/{body['agent']}", body["run_id"]
    if body["type"] == "approval.decided":
        return _plain(f"{agent}: {body['decided_by']} decided on run {run}")
    if body["type"] == "approval.cancelled":
        return _plain(f"{agent}: run {run} was cancelled")
    if body["type"] == "approval.expired":
        return _plain(f"{agent}: nobody decided on run {run} in time")
    calls = [
        " ".join(
            [
                "/".join(filter(None, (call.get("agent"), call["name"]))),
                *([orjson.dumps(call["args"]).decode()] if "args" in call else []),
            ]
        )
        for call in body["calls"]
    ]
    until = f"until {body['expires_at']}"
    said = f"{agent}: run {run} of {body['asked_by']} waits {until} for: {'; '.join(calls)}"
    return _plain(said)


def waiting(shown: dict[str, Any], asked_by: str, session: str, since: float) -> dict[str, Any]:
    """Return what is told of a run that waits."""
    return {
        "session_id": session,
        "asked_by": asked_by,
        "since": moment(since),
        "expires_at": shown["expires_at"],
        "calls": shown["calls"],
    }


def _plain(text: str) -> str:
    """Return a text that Slack shows as it is: no link, and nobody is called by it."""
    cut = text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "…"
    return cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _is_of(url: str, other: str) -> bool:
    try:
        return origin(url) == origin(other)
    except NetError:
        return False
