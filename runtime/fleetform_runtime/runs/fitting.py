"""Conversations cut to what a model takes: between turns, within a run, and after it has refused."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from fleetform_runtime.messages import (
    Assistant,
    Message,
    Summary,
    ToolResult,
    ToolResults,
    User,
)
from fleetform_runtime.models import ChatModel, ChatRequest, ModelError, sizes
from fleetform_runtime.runs.log import RunLog
from fleetform_runtime.runs.turn import Turn
from fleetform_runtime.sections.model import Model

KEPT_FREE = 0.05
"""Share of the window that is left free: templates and roles cost tokens too."""
ANSWER = 1_024
"""Tokens left for an answer whose length nothing bounds, but no more than a quarter of the window."""
SMALLER = 0.6
"""What a refused request is cut to if the model does not say how much it takes."""
BELOW = 0.8
"""Share of a refused request that later ones may have."""
SHOWN_OF_A_RESULT = 400
"""Characters that stay of a result that made room for newer ones."""
SMALLEST = 256


class Room(Protocol):
    """Makes a conversation fit the model that is asked."""

    async def made(
        self, turn: Turn, model: ChatModel, whole: ChatRequest, events: RunLog
    ) -> ChatRequest:
        """Return what is asked for a request with the whole conversation.

        Raises:
            HttpProblem: it cannot be made to fit.
        """

    def answered(self, turn: Turn, key: str, request: ChatRequest, answer: Assistant) -> None:
        """Learn from an answer."""

    def is_worth_asking_again(
        self, turn: Turn, key: str, request: ChatRequest, error: ModelError
    ) -> bool:
        """Whether another request could be short enough, after the model has refused one as too long.

        Raises:
            HttpProblem: none could, for a reason that is known.
        """


class Fitting:
    """Knows the windows of an agent's models, and cuts requests to them."""

    def __init__(self, models: Iterable[Model]) -> None:
        self._models = {model.key: model for model in models}
        self._windows = {m.key: m.context_tokens for m in self._models.values() if m.context_tokens}
        self._refused: dict[str, int] = {}
        """Tokens of the smallest request that a model has refused without telling its window."""
        self.ratios: dict[str, float] = {}
        """Tokens that a model reports for each that is counted here; 1 unless somebody learns them."""

    async def made(
        self, turn: Turn, model: ChatModel, whole: ChatRequest, events: RunLog
    ) -> ChatRequest:
        """Return a request that the model takes: older turns, then results, are left out."""
        del events
        return self.fitted(model.key, whole, turn.most)

    def answered(self, turn: Turn, key: str, request: ChatRequest, answer: Assistant) -> None:
        """Learn nothing."""

    def is_worth_asking_again(
        self, turn: Turn, key: str, request: ChatRequest, error: ModelError
    ) -> bool:
        """Whether there is something left to cut."""
        turn.most = self.after(key, request, error)
        return turn.most is not None

    def window(self, key: str) -> int | None:
        """Return the tokens of a model's window, if they are known."""
        return self._windows.get(key)

    def truncates(self, key: str) -> bool:
        """Whether nobody would notice that a request was too long for a model."""
        return key in self._models and self._models[key].facts.truncates

    def thinks(self, key: str) -> bool:
        """Whether a model is asked to think before it answers."""
        return key in self._models and self._models[key].reasoning_effort is not None

    def most(self, key: str) -> int | None:
        """Return the tokens, as they are counted here, of the largest request that a model is known to take."""
        window = self._windows.get(key)
        # What a model has reported of other texts makes no request longer than is safe for any.
        ratio = max(1.0, self.ratios.get(key, 1.0))
        limits = [int(self._budget(key, window) / ratio)] if window else []
        limits += [int(self._refused[key] * BELOW)] if key in self._refused else []
        return min(limits, default=None)

    def fitted(self, key: str, request: ChatRequest, most: int | None = None) -> ChatRequest:
        """Return a request that a model takes, as far as that can be known.

        Args:
            key: the model's key.
            request: what is to be asked.
            most: tokens for all of it, if fewer than the model's window.
        """
        limits = [limit for limit in (self.most(key), most) if limit]
        if not limits:
            return request
        free = min(limits) - sizes.tokens(request.system) - sizes.of_tools(request.tools)
        return replace(request, messages=cut(request.messages, max(SMALLEST, free)))

    def after(self, key: str, request: ChatRequest, error: ModelError) -> int | None:
        """Return the tokens for another try after a model has refused a request as too long.

        What a model says of its window is remembered; None if there is nothing left to cut.
        """
        size = sizes.of_request(request)
        if self.learn(key, size, error):
            told = self._budget(error.model or key, self._windows[error.model or key])
            if told < size:
                return told
        most = int(size * SMALLER)
        smaller = self.fitted(key, request, most)
        return most if sizes.of_request(smaller) < size else None

    def learn(self, key: str, size: int, error: ModelError) -> bool:
        """Remember what a model has refused; return whether its window is known better than before.

        It may have been a fallback, of which nothing follows for the model that was asked first.
        """
        key = error.model or key
        if not error.window:
            self._refused[key] = min(size, self._refused.get(key, size))
            return False
        known = self._windows.get(key)
        if known is not None and error.window >= known:
            return False
        self._windows[key] = error.window
        return True

    def _budget(self, key: str, window: int) -> int:
        model = self._models.get(key)
        answer = model.max_tokens if model and model.max_tokens else min(ANSWER, window // 4)
        return max(SMALLEST, int(window * (1 - KEPT_FREE)) - answer)


def cut(messages: list[Message], most: int) -> list[Message]:
    """Return messages of at most `most` tokens.

    Whole turns go first, the oldest before the others; then results of the last turn are shortened,
    the oldest first; then what is longest of the rest. The last user's message stays as it is.
    """
    if messages and isinstance(messages[0], Summary):
        left = most - sizes.of_message(messages[0])
        if left > most // 2:
            return [messages[0], *cut(messages[1:], left)]
    counts = [sizes.of_message(message) for message in messages]
    total = sum(counts)
    if total <= most:
        return messages
    start = 0
    for index in _turns(messages):
        total -= sum(counts[start:index])
        start = index
        if total <= most:
            return messages[start:]
    return _shortened(messages[start:], counts[start:], most)


def _turns(messages: list[Message]) -> list[int]:
    """Return where each turn but the first begins."""
    return [n for n, message in enumerate(messages) if n and isinstance(message, User)]


def _shortened(messages: list[Message], counts: list[int], most: int) -> list[Message]:
    found = list(messages)
    total = sum(counts)
    results = [n for n, message in enumerate(found) if isinstance(message, ToolResults)]
    for index in results[:-1]:
        total -= counts[index]
        found[index] = _with_results(found[index], SHOWN_OF_A_RESULT)
        counts[index] = sizes.of_message(found[index])
        total += counts[index]
        if total <= most:
            return found
    if results:
        last = results[-1]
        room = max(SMALLEST, most - (total - counts[last]))
        # A token has at least a quarter of a character: the estimate of what is left decides.
        shown = max(len(r.content) for r in found[last].results) if counts[last] > room else 0  # type: ignore[union-attr]
        while shown > SHOWN_OF_A_RESULT and sizes.of_message(found[last]) > room:
            shown = int(shown * 0.7)
            found[last] = _with_results(messages[last], shown)
    for index, message in enumerate(found):
        if isinstance(message, Assistant) and message.state:
            found[index] = replace(message, state=None)
    return found


def _with_results(message: Message, most: int) -> Message:
    if not isinstance(message, ToolResults):  # pragma: no cover - only results are passed
        return message
    return ToolResults([_result(item, most) for item in message.results], message.at)


def _result(item: ToolResult, most: int) -> ToolResult:
    if len(item.content) <= most:
        return item
    note = f"[cut to fit the model: {len(item.content)} characters, the first {most} are shown]"
    return replace(item, content=f"{item.content[:most]}\n{note}")
