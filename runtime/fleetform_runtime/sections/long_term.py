"""What is remembered of each user beyond a conversation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fleetform_runtime.sections.base import Seconds, Section
from fleetform_runtime.sections.knowledge import Embedding

TOOLS = ("remember", "forget")
"""Names of the tools that an agent with such a memory has."""


class LongTermMemory(Section):
    """Memories of each user, kept in the store of `memory` and given to the model beside a question they fit."""

    embedding: Embedding | None = Field(
        default=None,
        description="How memories are compared by their meaning; default: by their words.",
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="Which of the agent's models decides what to remember, by the name by which sessions choose it; "
        "default: the agent's first.",
    )
    max_memories: Annotated[int, Field(ge=1, le=50)] = Field(
        default=5, description="Memories that are put beside a question; default 5."
    )
    max_per_user: Annotated[int, Field(ge=1, le=2_000)] = Field(
        default=500,
        description="Memories of one user; beyond them those go that were shown least often, of these the one that "
        "was not used for longest. Default 500.",
    )
    ttl_seconds: Annotated[float, Field(gt=0, le=315_360_000)] = Field(
        default=15_552_000,
        description="Seconds after its last use until a memory is deleted; default 15552000 (180 days).",
    )
    idle_seconds: Seconds = Field(
        default=60,
        description="Seconds without a message until a conversation is looked through for what to remember; default 60.",
    )
    max_turns: Annotated[int, Field(ge=1, le=100)] = Field(
        default=6,
        description="Messages of a user after which a conversation is looked through at the latest; default 6.",
    )
    requires_approval: bool = Field(
        default=False,
        description="Whether people approve what the tools remember and forget are to do; default false.",
    )
    user: str | None = Field(
        default=None,
        pattern=r"^[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,255}$",
        description="The user whose memories they are where callers are not told apart; required with auth of type "
        "none, refused with others.",
    )
