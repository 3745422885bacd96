"""Memories around a run: what fits the question before it, and what is to be learned from it afterwards."""

from typing import Protocol

from fleetform_runtime.memories import notes
from fleetform_runtime.memories.learning import Exchange, Learning
from fleetform_runtime.memories.service import UserMemories
from fleetform_runtime.messages import Assistant, Message, Summary, ToolResults, Usage, User
from fleetform_runtime.models import ChatModel, ChatRequest
from fleetform_runtime.runs.turn import Answer, Turn
from fleetform_runtime.sections.long_term import TOOLS
from fleetform_runtime.store import Session, UnreadableRecordError
from fleetform_runtime.store.parts import Conversations
from fleetform_runtime.telemetry.traces import Spans

ATTACHED = "[file "
"""How the text of a file begins that a user has sent: somebody else may have written it."""


class Remembering:
    """What the runs of an agent do with memories."""

    def __init__(self, memories: UserMemories, learning: Learning) -> None:
        self.memories = memories
        self.learning = learning

    async def recall(self, turn: Turn) -> None:
        """Put notes beside the question of a turn."""
        question = turn.question()
        if not turn.remembers or question is None:
            return
        recalled = await self.memories.recall(turn.user, question.text())
        if recalled is not None:
            turn.mark = recalled.mark
            turn.notes = notes.written(recalled.memories)

    def hear(self, session: Session, turn: Turn, answer: Answer) -> None:
        """Learn from a turn that has ended, later."""
        question = turn.question()
        if turn.mark is None or question is None:
            return
        said = _said(question)
        if said:
            answered = answer.text if is_own(session, turn) else ""
            exchange = Exchange(said, answered)
            self.learning.hear(turn.user, turn.session, turn.run, turn.mark, exchange)

    async def forget(self, owner: str, ids: list[str] | None = None) -> int:
        """Delete memories; nothing in the queue brings them back."""
        self.learning.drop(owner)
        return await self.memories.forget(owner, ids)

    async def forget_session(self, owner: str, session: str) -> int:
        """Delete what was learned in a session, and what is to be."""
        self.learning.drop(owner, session)
        return await self.memories.forget_session(owner, session)

    async def drain(self, seconds: float) -> None:
        """Learn what is in the queue now: the process ends."""
        await self.learning.drain(seconds)

    async def close(self) -> None:
        """Close everything."""
        await self.learning.close()
        await self.memories.close()


def _said(question: User) -> str:
    """Return what a user has written, without the texts of files."""
    if isinstance(question.content, str):
        return question.content.strip()
    parts = [part for part in question.content if isinstance(part, str)]
    return "\n".join(part for part in parts if not part.startswith(ATTACHED)).strip()


def is_own(session: Session, turn: Turn) -> bool:
    """Whether an answer is the model's own: nothing that it has seen of the conversation is a tool's or a file's."""
    seen: list[Message] = [*turn.history, *turn.fresh]
    if len(turn.history) != session.messages:  # what was left out may be one
        return False
    return not any(map(_is_foreign, seen))


def _is_foreign(message: Message) -> bool:
    if isinstance(message, Summary):  # of what tools have said, too
        return True
    if isinstance(message, ToolResults):
        return any(result.name not in TOOLS for result in message.results)
    if isinstance(message, User) and not isinstance(message.content, str):
        return any(
            not isinstance(part, str) or part.startswith(ATTACHED) for part in message.content
        )
    return False


class Spending(Protocol):
    """Where tokens of a user are counted."""

    async def spend(self, user: str, tokens: int, cost: float | None) -> None:
        """Count what was used."""


class Surrounded:
    """What learning needs of an agent."""

    def __init__(
        self, model: ChatModel, quotas: Spending, conversations: Conversations, spans: Spans
    ) -> None:
        self._model = model
        self._quotas = quotas
        self._conversations = conversations
        self._spans = spans

    async def ask(self, request: ChatRequest) -> Assistant:
        """Ask the model that decides."""
        with self._spans.chat(self._model.key, request) as span:
            answer = await self._model.respond(request, None)
            answer.usage.add(request.lost)
            span.answered(answer)
        return answer

    async def spend(self, owner: str, usage: Usage) -> None:
        """Count what was used for a user."""
        await self._quotas.spend(owner, usage.input_tokens + usage.output_tokens, usage.cost_usd)

    async def is_there(self, owner: str, session: str) -> bool:
        """Whether a conversation still exists."""
        try:
            return await self._conversations.load(owner, session, 0) is not None
        except UnreadableRecordError:
            return False
