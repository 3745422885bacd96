"""What happens when a leaf is turned: another output, a Problem that says why not, or nothing at all."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from fleetform.problems import Problem
from tests.served.fleets import SUBJECTS, environments, fleets, on_compose
from tests.served.leaves import leaves, places, turned
from tests.served.rendering import outcome

Json = Any
RANK = ("changed", "said", "silent", "refused")
FLEETS, ENVIRONMENTS = fleets(), environments()
FLEETS |= {f"{name}-compose": on_compose(FLEETS[name]) for name in ("generic", "own")}


class Turn(NamedTuple):
    """One leaf, turned at one place of one document."""

    context: str
    result: str
    """`changed`, `said`, `silent`, or `refused`: the document is wrong with and without the turn."""
    value: Json


@cache
def _outcome(fleet: str, environment: str, kind: str, name: str, text: str) -> Any:
    specs, spaces = FLEETS[fleet], ENVIRONMENTS[environment]
    document = json.loads(text)
    if kind == "Environment":
        return outcome(specs, {**spaces, f"{kind} {name}": document}, whole=True)
    return outcome({**specs, f"{kind} {name}": document}, spaces)


def turns(kind: str, leaf: str) -> Iterator[Turn]:
    """Yield every turn of a leaf, in every fleet that has a document of its kind."""
    steps, _ = leaves(kind)[leaf]
    served = False
    for fleet, environment, name, prefixes in SUBJECTS[kind]:
        if leaf.startswith(prefixes):
            known = ENVIRONMENTS[environment] if kind == "Environment" else FLEETS[fleet]
            document = known[f"{kind} {name}"]
            for place in places(document, kind, steps):
                context = fleet, environment, kind, name
                turn = _turn(
                    context, document, steps, place, enough="said" if served else "changed"
                )
                served = served or turn.result == "changed"
                yield turn


def _turn(
    context: tuple[str, str, str, str], document: Json, steps: Any, place: Any, enough: str
) -> Turn:
    """Turn a leaf to its other values until one of them shows as `enough` or better."""
    _, _, kind, name = context
    before, afters = turned(document, kind, steps, place)
    first = _outcome(*context, json.dumps(before))
    found: dict[str, Json] = {}
    for after in afters:
        second = _outcome(*context, json.dumps(after))
        found.setdefault(_judged(first, second, f"{kind} {name}.yaml", place), after)
        if "changed" in found or enough in found:
            break
    best = next((result for result in RANK if result in found), "no value")
    where = f"{context[0]}/{context[1]} {name} {_dotted(place)}"
    return Turn(where, best, found.get(best))


def _judged(before: Any, after: Any, file: str, place: Any) -> str:
    if after[0] is not None and after[0] != before[0]:
        return "changed"
    if after[1] - before[1] or any(p.file == file and _covers(p, place) for p in after[1]):
        return "said"
    return "refused" if after[0] is None else "silent"


NO_EFFECT = frozenset(
    {"not-in-argo", "not-on-compose", "not-used", "contradiction", "not-rendered"}
)
"""Codes of Problems that say of a place that it has no effect."""


def _covers(problem: Problem, place: Any) -> bool:
    """Whether a Problem says of a place, or of what it is in, that it has no effect."""
    if problem.code not in NO_EFFECT:
        return False
    path, whole = problem.path, _dotted(place)
    # Everything of a document has one spec.
    is_whole = problem.code == "not-rendered"
    return is_whole or path == whole or whole.startswith((f"{path}.", f"{path}["))


def _dotted(place: Any) -> str:
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
