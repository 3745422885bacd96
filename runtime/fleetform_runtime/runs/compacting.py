"""Compacts conversations before each request to a model: cuts old results, then has old messages summarised."""

import logging
import time
from dataclasses import replace
from typing import Any, Literal

from fleetform_runtime.messages import Assistant, Message, Summary, User, recent
from fleetform_runtime.models import ChatModel, ChatRequest, ModelError, sizes
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs import compaction
from fleetform_runtime.runs.compaction import View
from fleetform_runtime.runs.fitting import BELOW, SMALLER, SMALLEST, Fitting
from fleetform_runtime.runs.log import RunLog
from fleetform_runtime.runs.sessions import Sessions
from fleetform_runtime.runs.summaries import SummaryError, TooMuchError, Writer
from fleetform_runtime.runs.turn import Turn
from fleetform_runtime.sections.memory import Compression
from fleetform_runtime.telemetry.metrics import Metrics
from fleetform_runtime.telemetry.traces import Spans

log = logging.getLogger(__name__)

LEFT = 0.5
"""Share of what is allowed that is left of a conversation, so that it is not compacted again at once."""
LEARNING = 0.3
"""How much the newest report of a model counts against those before."""
LEAST, MOST = 0.5, 3.0
"""Bounds of what is believed of a model's reports: tokens for each that is counted here."""
FEW = 1_000
"""Tokens that a summary of short messages may have, even if they have fewer: they are too many, not too long."""
IMPLAUSIBLE = 0.2
"""A report below it is none: no tokenizer makes so few."""
Reason = Literal["tokens", "messages", "refused"]


class Compacting:
    """Makes conversations fit by compacting them; what it cannot do is left to `Fitting`."""

    def __init__(
        self,
        policy: Compression,
        history: int,
        fitting: Fitting,
        writer: Writer,
        sessions: Sessions,
        metrics: Metrics,
        spans: Spans,
    ) -> None:
        self._policy = policy
        self._history = history
        self._most_messages = min(policy.threshold, history)
        self._fitting = fitting
        self._writer = writer
        self._sessions = sessions
        self._metrics = metrics
        self._spans = spans

    async def made(
        self, turn: Turn, model: ChatModel, whole: ChatRequest, events: RunLog
    ) -> ChatRequest:
        """Return a request with what is left of the conversation.

        Raises:
            HttpProblem: the run fills the window again and again.
        """
        messages = [*turn.history, *turn.fresh]
        notes: list[Message] = [User(turn.notes)] if turn.notes else []
        around = replace(whole, messages=[*notes, *turn.draft])
        most = max(SMALLEST, self._allowed(model.key) - sizes.of_request(around))
        if reason := self._reason(turn, messages, most):
            await self._compact(turn, model, messages, most, reason, events)
        left = turn.noted(recent(compaction.shown(messages, turn.view), self._history))
        request = replace(whole, messages=[*left, *turn.draft], may_shrink=not turn.pace.refused)
        refused = int(turn.pace.refused * SMALLER) or None
        request = self._fitting.fitted(model.key, request, refused)
        if turn.pace.refused and sizes.of_request(request) >= turn.pace.refused:
            raise self._too_long(request)
        return request

    def answered(self, turn: Turn, key: str, request: ChatRequest, answer: Assistant) -> None:
        """Learn how many tokens a model reports for each that is counted here."""
        turn.pace.answers += 1
        turn.pace.refused = 0
        usage = answer.usage
        reported = usage.input_tokens / sizes.of_request(request)
        if reported > IMPLAUSIBLE and not usage.estimated and not answer.attempts:
            ratio = min(MOST, max(LEAST, reported))
            known = self._fitting.ratios.get(key, ratio)
            self._fitting.ratios[key] = known + LEARNING * (ratio - known)

    def is_worth_asking_again(
        self, turn: Turn, key: str, request: ChatRequest, error: ModelError
    ) -> bool:
        """Whether it is the first refusal of this step.

        Raises:
            HttpProblem: it is not.
        """
        size = sizes.of_request(request)
        self._fitting.learn(key, size, error)
        if turn.pace.refused:
            raise self._too_long(request)
        turn.pace.refused = size
        return True

    def _allowed(self, key: str) -> int:
        """Return the tokens, as they are counted here, above which a conversation is compacted."""
        ratio = self._fitting.ratios.get(key, 1.0)
        limits = [int(self._policy.max_context_tokens / ratio)]
        if window := self._fitting.window(key):
            limits.append(int(window * self._policy.context_threshold / ratio))
        if (most := self._fitting.most(key)) is not None:
            limits.append(most)
        return min(limits)

    def _reason(self, turn: Turn, messages: list[Message], most: int) -> Reason | None:
        if turn.pace.refused:
            return "refused"
        left = compaction.shown(messages, turn.view)
        if sum(map(sizes.of_message, left)) > most:
            return "tokens"
        # Whoever keeps a conversation itself gets no summary to keep: one would be made for each request.
        is_kept = turn.stored is not None and not turn.pace.without
        if is_kept and len(messages) - turn.view.start > self._most_messages:
            place = compaction.of_count(messages, turn.view, self._most_messages)
            return "messages" if place is not None else None
        return None

    async def _compact(
        self,
        turn: Turn,
        model: ChatModel,
        messages: list[Message],
        most: int,
        reason: Reason,
        events: RunLog,
    ) -> None:
        """Change what is read of the conversation, and tell of it."""
        began = time.monotonic()
        ratio, start = self._fitting.ratios.get(model.key, 1.0), turn.view.start
        before = int(_size(messages, turn.view) * ratio)
        with self._spans.compaction(reason):
            outcome = await self._changed(turn, model, messages, most, reason)
        after = int(_size(messages, turn.view) * ratio)
        if outcome is None:
            return
        self._metrics.count("agent_compactions_total", reason, outcome)
        self._metrics.count("agent_compaction_tokens_total", by=max(0, before - after))
        told: dict[str, Any] = {
            "reason": reason,
            "outcome": outcome,
            "before_tokens": before,
            "after_tokens": after,
            "messages": turn.view.start - start,
            "duration_ms": round((time.monotonic() - began) * 1000, 1),
        }
        if outcome != "cut":
            told["model"] = self._writer.key(model)
        events.emit("compaction", told)

    async def _changed(
        self, turn: Turn, model: ChatModel, messages: list[Message], most: int, reason: Reason
    ) -> Literal["cut", "summarised", "failed"] | None:
        """Do what is cheapest; return what was done, None if nothing could be."""
        before, view, goal = _size(messages, turn.view), turn.view, most
        if reason == "refused":
            goal = min(most, int(before * BELOW * LEFT))
        if reason != "messages":
            view = replace(view, cut=max(view.cut, compaction.old_results(messages)))
            size = _size(messages, view)
            if size < before:
                turn.view = view
            if size <= goal:
                return "cut"
        place = self._place(messages, view, goal, most, reason)
        if place is None or turn.pace.without:
            return "cut" if turn.view.cut > 0 and _size(messages, turn.view) < before else None
        if reason != "messages" and turn.pace.is_thrashing():
            raise self._thrashing(messages, view)
        try:
            place, summary = await self._summary(turn, model, messages, place, reason)
        except SummaryError as error:
            log.warning("a conversation was not summarised: %s", error)
            turn.pace.without = True
            return "failed"
        turn.view = replace(view, start=place, summary=summary)
        if reason != "messages":
            turn.pace.summarised()
        await self._keep(turn, place, summary)
        return "summarised"

    def _place(
        self, messages: list[Message], view: View, goal: int, most: int, reason: Reason
    ) -> int | None:
        if reason == "messages":
            return compaction.of_count(messages, view, self._most_messages)
        counts = _counts(messages, view)
        aim = goal if reason == "refused" else int(most * LEFT)
        return compaction.boundary(messages, counts, view, aim, most)

    async def _summary(
        self, turn: Turn, model: ChatModel, messages: list[Message], place: int, reason: Reason
    ) -> tuple[int, Summary]:
        """Return a summary, and up to where: of a session that was never summarised not all at once.

        Raises:
            SummaryError: there is none.
        """
        view = turn.view
        covered = [*([view.summary] if view.summary else []), *messages[view.start : place]]
        try:
            summary = await self._writer.written(covered, model, turn.usage)
        except TooMuchError:
            fewer = compaction.halfway(messages, view.start, place)
            if fewer is None:
                raise
            return await self._summary(turn, model, messages, fewer, reason)
        longest = sum(map(sizes.of_message, covered))
        if reason == "messages":
            longest = max(longest, FEW)
        if sizes.of_message(summary) >= longest:
            raise SummaryError("it is longer than what it stands for")
        return place, summary

    async def _keep(self, turn: Turn, place: int, summary: Summary) -> None:
        """Store a summary of what is stored, so that the next run begins with it."""
        if turn.stored is None or place > len(turn.history):
            return
        kept = sum(not isinstance(item, Summary) for item in turn.history[place:])
        summary.keeps = kept
        turn.stored = await self._sessions.summarised(turn.stored, summary)

    def _thrashing(self, messages: list[Message], view: View) -> HttpProblem:
        what = compaction.largest(messages[view.start :], _counts(messages, view)[view.start :])
        detail = (
            f"the run fills the model's window again as soon as it is summarised; most is {what}:"
            " let it return less"
        )
        return HttpProblem("context_too_long", detail)

    def _too_long(self, request: ChatRequest) -> HttpProblem:
        fixed = sizes.tokens(request.system) + sizes.of_tools(request.tools)
        counts = [sizes.of_message(message) for message in request.messages]
        what = compaction.largest(request.messages, counts)
        if fixed > max(counts, default=0):
            what = f"the instructions and the descriptions of tools, about {fixed} tokens"
        detail = f"the model refuses the conversation even when it is summarised; most is {what}"
        return HttpProblem("context_too_long", detail)


def _counts(messages: list[Message], view: View) -> list[int]:
    """Return the tokens of each message, shortened where the view shortens it."""
    left = compaction.shown(messages, replace(view, start=0, summary=None))
    return [sizes.of_message(message) for message in left]


def _size(messages: list[Message], view: View) -> int:
    return sum(map(sizes.of_message, compaction.shown(messages, view)))
