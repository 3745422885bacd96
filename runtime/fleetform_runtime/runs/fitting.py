"""Conversations cut to what a model takes: between turns, within a run, and after it has refused."""

from dataclasses import replace

from fleetform_runtime.messages import Assistant, Message, ToolResult, ToolResults, User
from fleetform_runtime.models import ChatRequest, ModelError, sizes
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


class Fitting:
    """Knows the windows of an agent's models, and cuts requests to them."""

    def __init__(self, models: tuple[Model, ...]) -> None:
        self._models = {model.key: model for model in models}
        self._windows = {m.key: m.context_tokens for m in models if m.context_tokens}
        self._refused: dict[str, int] = {}
        """Tokens of the smallest request that a model has refused without telling its window."""

    def fitted(self, key: str, request: ChatRequest, most: int | None = None) -> ChatRequest:
        """Return a request that a model takes, as far as that can be known.

        Args:
            key: the model's key.
            request: what is to be asked.
            most: tokens for all of it, if fewer than the model's window.
        """
        window = self._windows.get(key)
        limits = [self._budget(key, window)] if window else []
        limits += [int(self._refused[key] * BELOW)] if key in self._refused else []
        limits += [most] if most else []
        if not limits:
            return request
        free = min(limits) - sizes.tokens(request.system) - sizes.of_tools(request.tools)
        return replace(request, messages=cut(request.messages, max(SMALLEST, free)))

    def after(self, key: str, request: ChatRequest, error: ModelError) -> int | None:
        """Return the tokens for another try after a model has refused a request as too long.

        What a model says of its window is remembered; None if there is nothing left to cut.
        """
        size = sizes.of_request(request)
        known = self._windows.get(key)
        if error.window and (known is None or error.window < known):
            self._windows[key] = error.window
            told = self._budget(key, error.window)
            if told < size:
                return told
        if not error.window:
            self._refused[key] = min(size, self._refused.get(key, size))
        most = int(size * SMALLER)
        smaller = self.fitted(key, request, most)
        return most if sizes.of_request(smaller) < size else None

    def _budget(self, key: str, window: int) -> int:
        model = self._models.get(key)
        answer = model.max_tokens if model and model.max_tokens else min(ANSWER, window // 4)
        return max(SMALLEST, int(window * (1 - KEPT_FREE)) - answer)


def cut(messages: list[Message], most: int) -> list[Message]:
    """Return messages of at most `most` tokens.

    Whole turns go first, the oldest before the others; then results of the last turn are shortened,
    the oldest first; then what is longest of the rest. The last user's message stays as it is.
    """
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
