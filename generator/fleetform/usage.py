"""What agents used and what models cost, from the runtime's metrics in a Prometheus.

`increase` does not see what a series began with, and a pod's first answer is such a beginning; it also guesses what was
between samples. So values are compared instead, wherever a counter did not start anew. A model without a price has
tokens and no dollars: it is told of, and never counted as 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

from fleetform.records import NamedTuple

SECONDS = 60
"""Longest wait for one answer."""
_LARGEST = 64 * 1024 * 1024
_DAY = 86_400
DIMENSIONS = ("day", "namespace", "team", "cost_center", "agent", "model")
"""What use can be summed by."""
_SERIES = ("namespace", "team", "cost_center", "agent", "model")
TOKENS = ("agent_llm_tokens_total", "agent_embedding_tokens_total")
DOLLARS = ("agent_llm_cost_usd_total", "agent_embedding_cost_usd_total")


class PrometheusError(Exception):
    """A Prometheus does not answer; `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Key(NamedTuple):
    """Whose use it was, on which day (UTC); what is unknown is empty."""

    day: str
    namespace: str
    team: str
    cost_center: str
    agent: str
    model: str


class Use(NamedTuple):
    """Tokens and US dollars."""

    input: float = 0
    output: float = 0
    usd: float = 0
    unpriced: float = 0
    """Tokens of models without a price, of which `usd` knows nothing."""

    def plus(self, other: Use) -> Use:
        """Return the sum of both."""
        return Use(*(a + b for a, b in zip(self, other, strict=True)))


class _NoRedirects(HTTPRedirectHandler):
    """The token is for the address that was named."""

    def redirect_request(self, *args: Any) -> None:
        del args


class Prometheus:
    """The HTTP API of a Prometheus, or of what speaks it: Thanos, Mimir, VictoriaMetrics."""

    def __init__(self, url: str, token: str = "") -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._open = build_opener(_NoRedirects).open

    def at(self, query: str, moment: datetime) -> list[tuple[dict[str, str], float]]:
        """Return what a query is at a moment: labels and number of each series.

        Raises:
            PrometheusError: it cannot be reached, refuses, or answers something else.
        """
        body = urlencode({"query": query, "time": f"{moment.timestamp():.3f}"}).encode()
        request = Request(  # noqa: S310 - the address is the user's own
            f"{self._url}/api/v1/query", data=body, headers=self._headers
        )
        try:
            with self._open(request, timeout=SECONDS) as answer:
                text = answer.read(_LARGEST + 1)
        except HTTPError as error:
            with error:
                said = _said(error.read(_LARGEST))
            hint = "set PROMETHEUS_TOKEN" if error.code in (401, 403) else "check the address"
            raise PrometheusError(f"{self._url} answers HTTP {error.code}{said}", hint) from None
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise PrometheusError(
                f"cannot ask {self._url}: {reason}",
                "name one that this machine reaches with --prometheus, for example through `kubectl port-forward`",
            ) from None
        try:
            found = json.loads(text)["data"]["result"]
            return [(dict(one["metric"]), float(one["value"][1])) for one in found]
        except (ValueError, KeyError, TypeError, IndexError):
            raise PrometheusError(
                f"{self._url} does not answer as a Prometheus does", "check the address"
            ) from None


def _said(body: bytes) -> str:
    """Return what an error's body says, as the end of a message."""
    try:
        return f": {str(json.loads(body)['error'])[:300]}"
    except (ValueError, KeyError, TypeError):
        return ""


def days(last: datetime, count: int) -> list[tuple[date, datetime, int]]:
    """Return days in UTC with the moment at which each is asked for, and its seconds so far; the last one has just begun."""
    found = []
    midnight = last.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for back in range(count - 1, -1, -1):
        start = midnight - timedelta(days=back)
        end = min(start + timedelta(days=1), last)
        seconds = int((end - start).total_seconds())
        if seconds > 0:
            found.append((start.date(), end, seconds))
    return found


def expression(metric: str, namespaces: Iterable[str], seconds: int, by: Sequence[str]) -> str:
    """Return the query for what a counter rose by, in all its series of some namespaces, until the moment of the query.

    Where a counter did not start anew, that is its last value without the one before, if there was one; else `increase`.
    """
    series = f'{metric}{{namespace=~"{"|".join(sorted(namespaces))}"}}'
    span = f"{series}[{seconds}s]"
    before, last = f"{series} offset {seconds}s", f"last_over_time({span})"
    parts = (
        f"({last} - {before}) and resets({span}) == 0",
        f"({last} unless {before}) and resets({span}) == 0",
        f"increase({span}) and resets({span}) > 0",
    )
    apart = " or ".join(  # `or` drops series with the labels of another one
        f'label_replace({part}, "part", "{number}", "", "")' for number, part in enumerate(parts)
    )
    return f"sum by ({', '.join(by)}) ({apart})"


def measured(
    server: Prometheus, namespaces: Sequence[str], last: datetime, count: int
) -> dict[Key, Use]:
    """Return the use of each agent and model on each of the last days.

    Raises:
        PrometheusError: the server does not answer.
    """
    found: dict[Key, Use] = {}
    for day, end, seconds in days(last, count):
        priced: set[Key] = set()
        for metric in DOLLARS:
            for labels, usd in server.at(expression(metric, namespaces, seconds, _SERIES), end):
                key = _key(day, labels)
                priced.add(key)
                found[key] = found.get(key, Use()).plus(Use(usd=usd))
        for metric in TOKENS:
            by = _SERIES if metric.startswith("agent_embedding") else (*_SERIES, "type")
            for labels, tokens in server.at(expression(metric, namespaces, seconds, by), end):
                key = _key(day, labels)
                output = tokens if labels.get("type") == "output" else 0
                unpriced = 0 if key in priced else tokens
                use = Use(input=tokens - output, output=output, unpriced=unpriced)
                found[key] = found.get(key, Use()).plus(use)
    return {key: use for key, use in found.items() if any(use)}


def _key(day: date, labels: dict[str, str]) -> Key:
    return Key(day.isoformat(), *(labels.get(name, "") for name in _SERIES))


def summed(found: dict[Key, Use], by: Sequence[str]) -> dict[tuple[str, ...], Use]:
    """Return use by some of the DIMENSIONS, sorted."""
    sums: dict[tuple[str, ...], Use] = {}
    for key, use in found.items():
        short = tuple(getattr(key, name) for name in by)
        sums[short] = sums.get(short, Use()).plus(use)
    return dict(sorted(sums.items()))
