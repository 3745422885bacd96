"""Which part of a conversation a model reads once it is long: where it may be cut, and what is left of it.

Pure: what is stored stays whole, and nothing is asked of anybody.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from fleetform_runtime.messages import Assistant, Message, Summary, ToolResult, ToolResults, User

STEPS_KEPT = 3
"""Results of this many last steps are never cut here."""
HEAD, TAIL = 600, 300
"""Characters that stay of an old result."""
ROOM = 0.75
"""Share of what is allowed that a compacted conversation may take, if it cannot be cut in the middle of a turn."""
FREED = 0.25
"""Share of a conversation that a summary has to cover: less is not worth a request."""


MOST_SUMMARIES = 3
"""Summaries of one run: a tool that fills the window again and again is not worth more."""
FEW_ANSWERS = 2
"""Answers that a summary should make room for."""


@dataclass(slots=True)
class Pace:
    """How often a run is compacted."""

    summaries: int = 0
    answers: int = 0
    """Since the last summary."""
    in_vain: int = 0
    """Summaries in a row that made room for too few answers."""
    without: bool = False
    """Whether no summary could be written; it is not tried again in this run."""
    refused: int = 0
    """Tokens of the request of this step that the model has refused as too long."""

    def is_thrashing(self) -> bool:
        """Whether another summary would make no more room than those before."""
        is_quick = self.summaries > 0 and self.answers < FEW_ANSWERS
        return self.summaries >= MOST_SUMMARIES or (is_quick and self.in_vain > 0)

    def summarised(self) -> None:
        """Note a summary."""
        is_quick = self.summaries > 0 and self.answers < FEW_ANSWERS
        self.in_vain = self.in_vain + 1 if is_quick else 0
        self.summaries, self.answers = self.summaries + 1, 0


@dataclass(frozen=True, slots=True)
class View:
    """What a model reads of a run's messages, which only grow while it goes on."""

    start: int = 0
    """Messages before it are covered by `summary`, except the question that is being answered."""
    summary: Summary | None = None
    cut: int = 0
    """Results before it are shortened."""


def shown(messages: Sequence[Message], view: View) -> list[Message]:
    """Return what a model reads: the summary, the question, and the messages from `start` on."""
    head: list[Message] = []
    if view.summary is not None:
        head.append(view.summary)
        asked = question(messages)
        if asked < view.start:
            head.append(messages[asked])
    before = [_shortened(message) for message in messages[view.start : view.cut]]
    return [*head, *before, *messages[max(view.start, view.cut) :]]


def question(messages: Sequence[Message]) -> int:
    """Return where the newest turn begins."""
    places = (n for n in range(len(messages) - 1, -1, -1) if isinstance(messages[n], User))
    return next(places, 0)


def old_results(messages: Sequence[Message]) -> int:
    """Return where the last steps begin whose results stay whole."""
    steps = [n for n, message in enumerate(messages) if isinstance(message, ToolResults)]
    return steps[-STEPS_KEPT] if len(steps) > STEPS_KEPT else 0


def between_turns(messages: Sequence[Message], start: int) -> Iterator[int]:
    """Yield where whole turns before it can be covered: before a user's message, the newest one included.

    A summary alone is not summarised again.
    """
    is_summary = start < len(messages) and isinstance(messages[start], Summary)
    for n in range(start + 1 + is_summary, len(messages)):
        if isinstance(messages[n], User):
            yield n


def between_steps(messages: Sequence[Message], start: int) -> Iterator[int]:
    """Yield where finished steps of the newest turn can be covered: all calls before have their results."""
    for n in range(question(messages) + 1, len(messages)):
        message, before = messages[n], messages[n - 1]
        if isinstance(message, Assistant) and isinstance(before, ToolResults) and n > start:
            yield n
        if isinstance(message, Assistant) and not _is_complete(messages, n):
            return


def _is_complete(messages: Sequence[Message], place: int) -> bool:
    """Whether every call of an answer has its result right behind it."""
    answer = messages[place]
    wanted = {call.id for call in answer.calls} if isinstance(answer, Assistant) else set()
    follower = messages[place + 1] if place + 1 < len(messages) else None
    held = {item.id for item in follower.results} if isinstance(follower, ToolResults) else set()
    return wanted <= held


def boundary(
    messages: Sequence[Message], counts: Sequence[int], view: View, aim: int, most: int
) -> int | None:
    """Return up to where messages are best covered by a summary so that tokens are saved; None if nowhere.

    Args:
        messages: all of a run, those before it included.
        counts: the tokens of each, as it is shown.
        view: what is read now.
        aim: tokens that shall be left.
        most: tokens that are allowed.
    """
    asked = question(messages)
    behind = [*accumulate(reversed(counts), initial=0)][::-1]

    def left(place: int) -> int:
        return behind[place] + (counts[asked] if asked < place else 0)

    total = left(view.start)
    turns = list(between_turns(messages, view.start))
    steps = list(between_steps(messages, view.start))
    places = [place for place in turns if left(place) <= aim]
    if not places and turns and left(turns[-1]) <= most * ROOM:
        places = turns[-1:]
    places = places or [place for place in steps if left(place) <= aim] or steps[-1:] or turns[-1:]
    return places[0] if places and total - left(places[0]) >= total * FREED else None


def of_count(messages: Sequence[Message], view: View, most: int) -> int | None:
    """Return up to where whole turns are covered so that at most half of `most` messages are left; None if nowhere."""
    turns = list(between_turns(messages, view.start))
    few = [place for place in turns if len(messages) - place <= most // 2]
    return next(iter(few or turns[-1:]), None)


def halfway(messages: Sequence[Message], start: int, place: int) -> int | None:
    """Return where whole turns end of which there are about half as many; None if there are none."""
    places = [n for n in between_turns(messages, start) if n <= (start + place) // 2]
    return places[-1] if places else None


def _shortened(message: Message) -> Message:
    if not isinstance(message, ToolResults):
        return message
    return ToolResults([_result(item) for item in message.results], message.at)


def _result(item: ToolResult) -> ToolResult:
    """Return the beginning and the end of a result, without what it shows."""
    images = f"[{len(item.images)} images cut]" if item.images else ""
    content, size = item.content, len(item.content)
    note = f"\n[cut; {HEAD + TAIL} of {size} characters are shown]\n"
    if size > HEAD + TAIL + len(note):
        content = f"{content[:HEAD]}{note}{content[-TAIL:]}"
    return replace(item, content=f"{content}\n{images}".strip() if images else content, images=())


def largest(messages: Sequence[Message], counts: Sequence[int]) -> str:
    """Say what takes the most of a conversation, by the tool that it is from, and how many tokens that is."""
    place = max(range(len(messages)), key=counts.__getitem__, default=None)
    if place is None:
        return "the instructions"
    message, size = messages[place], counts[place]
    if isinstance(message, ToolResults) and message.results:
        result = max(message.results, key=lambda item: len(item.content) + len(item.images))
        return f"the result of the tool {result.name}, about {size} tokens"
    what = "an answer of the model" if isinstance(message, Assistant) else "a message of the user"
    return f"{what}, about {size} tokens"
