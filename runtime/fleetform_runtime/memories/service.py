"""The memories of users: compared with a question, added without repetition, limited, deleted."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakValueDictionary

from fleetform_runtime.knowledge import KnowledgeError
from fleetform_runtime.knowledge.embeddings import Embedder
from fleetform_runtime.knowledge.search import model_of
from fleetform_runtime.memories import ranking
from fleetform_runtime.memories.notes import cleaned
from fleetform_runtime.memories.ranking import Ranked
from fleetform_runtime.memories.vectors import quantised
from fleetform_runtime.sections.long_term import LongTermMemory
from fleetform_runtime.store import ConflictError, Memory, Remembered, StoreError
from fleetform_runtime.store.parts import Memories
from fleetform_runtime.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

KINDS = ("semantic", "episodic", "instruction")
"""A fact, something that happened, a wish about how the agent works."""
SAME = 0.92
"""The cosine from which a text replaces a memory in place of standing beside it."""
MEANT = 0.75
"""The cosine from which a memory is what somebody wants forgotten."""
RECALL_SECONDS = 3.0
"""How long an answer waits for the vector of its question; words are compared then."""
RENEWED_AT_ONCE = 64
TRIES = 3
"""Attempts to add something while others delete."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Something to be remembered, perhaps in place of what is."""

    text: str
    kind: str = "semantic"
    instead_of: str = ""


@dataclass(frozen=True, slots=True)
class Recalled:
    """What fits a question, and the mark by which something learned from the answer is written."""

    mark: str
    memories: list[Memory]


class UserMemories:
    """All operations on memories; there is none without the user whose they are."""

    def __init__(
        self,
        store: Memories,
        settings: LongTermMemory,
        embedder: Embedder | None,
        metrics: Metrics,
        redact: Callable[[str], str] = str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._settings = settings
        self._embedder = embedder
        self._metrics = metrics
        self._redact = redact
        self._clock = clock
        embedding = settings.embedding
        size = f" {embedding.dimension}" if embedding and embedding.dimension else ""
        self._model = model_of(embedding) + size
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        self._renewing: set[str] = set()

    async def recall(self, owner: str, question: str) -> Recalled | None:
        """Return what fits a question best; None if the store does not say, which is no reason not to answer."""
        try:
            held = await self._store.load(owner)
        except StoreError as error:
            log.warning("nothing was recalled: %s", error)
            return None
        found = await self.ranked(held.memories, question)
        best = [one.memory for one in found[: self._settings.max_memories]]
        if best:
            self._later(self._store.touch(owner, [memory.id for memory in best]))
        if self._stale(held.memories):
            self._later(self._renew(owner))
        self._metrics.observe("agent_memories_recalled", len(best))
        return Recalled(held.mark, best)

    async def ranked(self, memories: Sequence[Memory], text: str) -> list[Ranked]:
        """Return memories, those that fit a text best first.

        Those whose vector another model has made are compared by their words, behind the others.
        """
        if not memories:
            return []
        question = await self._question(text)
        fit = [one for one in memories if question and self._has_vector(one, len(question))]
        by_meaning = await asyncio.to_thread(ranking.by_meaning, fit, question) if fit else []
        rest = {one.id for one in fit}
        others = [one for one in memories if one.id not in rest]
        return by_meaning + await asyncio.to_thread(ranking.by_words, others, text)

    async def load(self, owner: str) -> Remembered:
        """Return all memories of a user, the latest first."""
        held = await self._store.load(owner)
        return Remembered(held.mark, sorted(held.memories, key=lambda one: (-one.created, one.id)))

    async def remember(
        self, owner: str, draft: Draft, session: str = "", run: str = ""
    ) -> Memory | None:
        """Remember what somebody has asked for; None if there is nothing in it.

        Raises:
            ConflictError: others delete all the time.
        """
        for _ in range(TRIES):
            held = await self._store.load(owner)
            made = await self.write(owner, held.mark, [draft], (), session, run)
            if made is not None:
                return made[0] if made else None
        raise ConflictError

    async def write(
        self,
        owner: str,
        mark: str,
        drafts: Sequence[Draft],
        outdated: Collection[str],
        session: str,
        run: str,
    ) -> list[Memory] | None:
        """Add drafts and remove what is outdated; return what was added or changed.

        None if the user had something deleted since the mark was read: what was learned before is void then.
        """
        lock = self._locks.setdefault(owner, asyncio.Lock())
        async with lock:
            texts = [cleaned(self._redact(draft.text)) for draft in drafts]
            vectors = await self._vectors(texts)
            held = await self._store.load(owner)
            if held.mark != mark:
                return None
            known = {one.id: one for one in held.memories if one.id not in outdated}
            made: dict[str, Memory] = {}
            for draft, text, vector in zip(drafts, texts, vectors, strict=True):
                if text:
                    one = self._made(draft, text, vector, known | made, (session, run))
                    made[one.id] = one
            excess = self._excess(known | made, made)
            removed = [*outdated, *excess]
            if not await self._store.write(owner, mark, list(made.values()), removed):
                return None
        self._count("added", sum(name not in known for name in made))
        self._count("updated", sum(name in known for name in made))
        self._count("outdated", len({one.id for one in held.memories} & set(outdated)))
        self._count("evicted", len(excess))
        return list(made.values())

    async def forget(self, owner: str, ids: Collection[str] | None = None) -> int:
        """Delete memories, by default all of a user; nothing that was learned before comes back."""
        count = await self._store.remove(owner, ids)
        self._count("deleted", count)
        return count

    async def forget_session(self, owner: str, session: str) -> int:
        """Delete what was learned in a session."""
        held = await self._store.load(owner)
        return await self.forget(owner, [one.id for one in held.memories if one.session == session])

    async def meant(self, owner: str, query: str) -> tuple[list[Memory], list[Memory]]:
        """Return the memories that a text certainly means, and else those that it may mean."""
        held = await self._store.load(owner)
        found = await self.ranked(held.memories, query)
        vectors = {one.id for one in held.memories if self._has_vector(one)}
        sure = [
            one.memory
            for one in found
            if ranking.has_all(one.memory.text, query)
            or (one.memory.id in vectors and one.score >= MEANT)
        ]
        return sure, [one.memory for one in found if one.score > 0][: self._settings.max_memories]

    async def close(self) -> None:
        """Wait for what goes on beside answers, and close connections."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=RECALL_SECONDS)
            for task in late:
                task.cancel()
        if self._embedder is not None:
            await self._embedder.close()

    def _made(
        self,
        draft: Draft,
        text: str,
        vector: bytes,
        held: dict[str, Memory],
        source: tuple[str, str],
    ) -> Memory:
        """Return a draft as a memory: one that it repeats or replaces, with another text, or a new one."""
        now = self._clock()
        old = held.get(draft.instead_of) or self._alike(text, vector, held.values())
        if old is None:
            old = Memory(id=uuid.uuid4().hex, text=text, created=now)
        return replace(
            old,
            text=text,
            kind=draft.kind if draft.kind in KINDS else KINDS[0],
            vector=vector,
            model=self._model if vector else "",
            used=now,
            session=source[0],
            run=source[1],
        )

    def _alike(self, text: str, vector: bytes, held: Iterable[Memory]) -> Memory | None:
        memories = list(held)
        for memory in memories:
            if ranking.is_same(memory.text, text):
                return memory
        fit = [one for one in memories if vector and self._has_vector(one, len(vector))]
        best = ranking.by_meaning(fit, vector)[:1]
        return best[0].memory if best and best[0].score >= SAME else None

    def _excess(self, held: dict[str, Memory], fresh: Collection[str]) -> list[str]:
        """Return what goes since a user may have no more: first what was shown least, of that what was used first."""
        count = len(held) - self._settings.max_per_user
        oldest = sorted(held.values(), key=lambda one: (one.id in fresh, one.hits, one.used))
        return [one.id for one in oldest[: max(0, count)]]

    def _has_vector(self, memory: Memory, length: int | None = None) -> bool:
        """Whether a memory has a vector of today's model."""
        if not memory.vector or memory.model != self._model:
            return False
        return length is None or len(memory.vector) == length

    def _stale(self, memories: Iterable[Memory]) -> list[Memory]:
        if self._embedder is None:
            return []
        return [one for one in memories if not self._has_vector(one)]

    async def _question(self, text: str) -> bytes:
        """Return the vector of a question; nothing if there is no embedding, or it does not answer in time."""
        text = text[: ranking.LONGEST_QUESTION]
        if self._embedder is None or not text.strip():
            return b""
        try:
            async with asyncio.timeout(RECALL_SECONDS):
                return quantised(await self._embedder.question(text))
        except (KnowledgeError, TimeoutError) as error:
            log.warning("memories are compared by their words: %s", error or "no vector in time")
            return b""

    async def _vectors(self, texts: Sequence[str]) -> list[bytes]:
        """Return the vectors of texts; none now is no loss, since they are made up for later."""
        nothing = [b""] * len(texts)
        if self._embedder is None or not any(texts):
            return nothing
        try:
            found = await self._embedder.documents([text or "-" for text in texts])
        except KnowledgeError as error:
            log.warning("memories have no vectors yet: %s", error)
            return nothing
        return [quantised(vector) for vector in found]

    async def _renew(self, owner: str) -> None:
        """Give memories vectors of today's model, a batch after the other."""
        if owner in self._renewing:
            return
        self._renewing.add(owner)
        try:
            while await self._renew_some(owner):
                pass
        finally:
            self._renewing.discard(owner)

    async def _renew_some(self, owner: str) -> bool:
        async with self._locks.setdefault(owner, asyncio.Lock()):
            held = await self._store.load(owner)
            batch = self._stale(held.memories)[:RENEWED_AT_ONCE]
            vectors = await self._vectors([one.text for one in batch])
            fresh = [
                replace(one, vector=vector, model=self._model)
                for one, vector in zip(batch, vectors, strict=True)
                if vector
            ]
            return bool(fresh) and await self._store.write(owner, held.mark, fresh)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that no answer waits for."""

        async def done() -> None:
            try:
                await work
            except StoreError as error:
                log.warning("the use of memories was not noted: %s", error)
            except Exception:
                log.exception("memories were not kept up")

        self._tasks.add(task := asyncio.create_task(done()))
        task.add_done_callback(self._tasks.discard)

    def _count(self, change: str, count: int) -> None:
        if count:
            self._metrics.count("agent_memories_changed_total", change, by=count)
