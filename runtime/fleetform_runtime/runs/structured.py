"""Answers that are JSON of a schema: asked for, validated, and asked for again if they are not."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson

from fleetform_runtime import jsons
from fleetform_runtime.tools.mcp import schemas
from fleetform_runtime.tools.schema import Arguments

REPAIRS = 2
"""Times that a model is asked again for what a request wants."""
LONGEST_COMPLAINT = 2_000
"""Characters of what is said to a model about an answer that does not match."""
MOST_PLACES = 16
"""Braces of an answer at which JSON is looked for that other words follow."""
# A fence of Markdown begins a line; within a text of JSON no line begins.
_FENCED = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)\n[ \t]*```", re.MULTILINE | re.DOTALL)
_OPENING = re.compile(r"[{\[]")
_DECODER = json.JSONDecoder()


class MismatchError(ValueError):
    """An answer does not match; the message tells the model why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the last answer of a run must be."""

    schema: dict[str, Any]
    repairs: int
    """Times that the model is asked again."""
    check: Arguments
    """The schema, compiled."""

    def instruction(self) -> str:
        """Return what the system prompt says about it: not every provider knows schemas."""
        written = jsons.write(self.schema).decode()
        return (
            "Your last message must be one JSON value and nothing else, without a code fence, "
            f"that matches this JSON Schema:\n{written}"
        )

    def value(self, text: str) -> Any:
        """Return the value that an answer is.

        Raises:
            MismatchError: it is no JSON, or does not match the schema.
        """
        try:
            found = jsons.read(bare(text))
        except ValueError:
            raise MismatchError("Your answer is not JSON.") from None
        if jsons.is_deep(found, text):
            raise MismatchError("Your answer is nested too deeply.")
        try:
            orjson.dumps(found)  # events, results and stores hold it as a value
        except TypeError:
            raise MismatchError("Your answer has an integer of more than 64 bits.") from None
        if faults := self.check.faults(found):
            raise MismatchError(f"Your answer does not match. {faults}"[:LONGEST_COMPLAINT])
        return found

    @staticmethod
    def complaint(error: MismatchError) -> str:
        """Return what a model is told about an answer that does not match."""
        return f"{error} Answer again, with the JSON value alone."


def wanted(schema: dict[str, Any], repairs: int) -> Wanted:
    """Return what a schema asks for.

    Raises:
        ValueError: it is no schema, or comparing an answer with it could take too long.
    """
    schemas.check(schema)
    return Wanted(schema, repairs, Arguments(schema))


def bare(text: str) -> str:
    """Return the JSON of an answer without the fence or the words that models put around it; without any, the text."""
    return next((one for one, _ in within(text)), text.strip())


def within(text: str) -> Iterator[tuple[str, Any]]:
    """Yield the JSON values that a text is or holds, as text and as value: all of it first, then what is fenced, then the rest."""
    for one in _candidates(text.strip()):
        try:
            yield one, jsons.read(one)
        except ValueError:
            continue


def _candidates(text: str) -> Iterator[str]:
    yield text
    yield from (found[1] for found in _FENCED.finditer(text))
    places = [match.start() for match in islice(_OPENING.finditer(text), MOST_PLACES)]
    if places:
        yield text[places[0] : max(text.rfind("}"), text.rfind("]")) + 1]
    for place in sorted(places, key=lambda place: text[place] != "{"):
        try:
            _, after = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            continue
        yield text[place:after]
