"""What specs pass on as it is, held to the schema that Kubernetes has for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fleetform.platforms.kubernetes import schemas
from fleetform.problems import Problem, did_you_mean
from fleetform.resolve import Resolved
from fleetform.tree import TreePath

Place = tuple[str, str]
"""A kind that is built here, and the name of a definition in its schema."""


def unlike(
    resolved: Resolved[Any], path: TreePath, place: Place, value: Any
) -> Iterator[tuple[TreePath, Problem]]:
    """Yield what Kubernetes does not know, misses, or wants in another type.

    Before each Problem stands the part of the value that cannot be judged further, from its root; an
    unknown field alone leaves all parts sound, and stands with an empty path.
    """
    for error in schemas.part_validator(*place).iter_errors(value):
        inside = tuple(error.instance_path)
        where, words = (*path, *inside), error.kind.as_dict()
        if error.kind.name == "additionalProperties":
            # The last definition that leads there, the root's own where nothing does.
            steps = [*error.schema_path]
            name = steps[1] if steps[:1] == ["definitions"] else place[1]
            known = schemas.fields(place[0], name)
            for word in words["unexpected"]:
                hint = did_you_mean(word, known, noun="fields")
                message = f"unknown field `{word}`"
                yield (
                    (),
                    resolved.problem((*where, word), "unknown-field", message, hint=hint, key=True),
                )
        elif error.kind.name == "required":
            message, hint = f"`{words['property']}` is missing", f"add `{words['property']}:`"
            yield inside, resolved.problem(where, "missing-field", message, hint=hint)
        else:
            hint = f"see `kubectl explain {place[0].lower()} --recursive`"
            message = error.message[:200]
            yield inside or ("",), resolved.problem(where, "schema-type", message, hint=hint)
