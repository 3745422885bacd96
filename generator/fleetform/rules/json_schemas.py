"""JSON Schemas that users write into tools: they must be valid and self-contained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import kinds
from fleetform.jsonschemas import jsonschema_rs
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.rules.pointers import REFERENCES, lost
from fleetform.rules.regexes import fault
from fleetform.tree import TreePath, leaves

if TYPE_CHECKING:
    from fleetform.models.tool import ToolSpec
    from fleetform.rules import AgentUses


DIALECT = "https://json-schema.org/draft/2020-12/schema"


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield what is wrong with the schemas of tools' parameters and results, and of agents' answers."""
    del uses
    for agent in fleet.of(kinds.AGENT):
        if (schema := agent.spec.output_schema) is not None:
            yield from _wrong(agent, ("spec", "outputSchema"), schema, schema)
    for tool in fleet.of(kinds.TOOL):
        whole = _arguments(tool)
        for path, schema in _schemas(tool):
            root = schema if path == ("spec", "output") else whole
            yield from _wrong(tool, path, schema, root)


def _wrong(
    owner: Resolved[Any], path: TreePath, schema: dict[str, Any], root: dict[str, Any]
) -> Iterator[Problem]:
    away = [*_remote(owner, path, schema), *_lost(owner, path, schema, root)]
    yield from away
    # The validator would fetch a foreign `$schema` over the network.
    if not away:
        yield from _invalid(owner, path, schema)
        yield from _patterns(owner, path, schema)


def _schemas(tool: Resolved[ToolSpec]) -> Iterator[tuple[TreePath, dict[str, Any]]]:
    if tool.spec.output is not None:
        yield ("spec", "output"), tool.spec.output
    for number, item in enumerate(tool.spec.parameters):
        path: TreePath = ("spec", "parameters", number)
        if item.items is not None:
            yield (*path, "items"), item.items
        if item.properties is not None:
            yield (*path, "properties"), {"properties": item.properties}


def _arguments(tool: Resolved[ToolSpec]) -> dict[str, Any]:
    """Return the schemas of parameters as parts of the schema of all arguments, where references start."""
    members = {
        item.name: {
            key: value
            for key, value in (("items", item.items), ("properties", item.properties))
            if value is not None
        }
        for item in tool.spec.parameters
    }
    return {"properties": members}


def _lost(
    owner: Resolved[Any], path: TreePath, schema: dict[str, Any], root: dict[str, Any]
) -> Iterator[Problem]:
    local = [
        (steps, value)
        for steps, value in leaves(schema)
        if steps and steps[-1] in REFERENCES and isinstance(value, str) and value.startswith("#")
    ]
    hint = "write one into `$defs`, and refer to it by `#/$defs/…`"
    if root is not schema:
        hint = "start at the parameters, as in `#/properties/NAME/items`, or write the schema out"
    missing = lost(root, [value for _, value in local]) if local else ()
    for steps, value in local:
        if value in missing:
            message = f"`{value[:80]}` does not resolve to a schema"
            yield owner.problem(_below(path, steps), "lost-ref", message, hint=hint)


def _invalid(owner: Resolved[Any], path: TreePath, schema: dict[str, Any]) -> Iterator[Problem]:
    if jsonschema_rs.meta.is_valid(schema):
        return
    import jsonschema  # noqa: PLC0415 - 70 ms that only a wrong schema pays for: it finds the cause

    error = jsonschema.exceptions.best_match(
        jsonschema.Draft202012Validator(jsonschema.Draft202012Validator.META_SCHEMA).iter_errors(
            schema
        )
    )
    steps = list(error.absolute_path) if error else []
    yield owner.problem(
        _below(path, tuple(steps)),
        "bad-json-schema",
        f"not a JSON Schema: {error.message[:160] if error else 'it breaks the meta-schema'}",
        hint="write it as JSON Schema 2020-12 defines it",
    )


def _remote(owner: Resolved[Any], path: TreePath, schema: dict[str, Any]) -> Iterator[Problem]:
    for steps, value in leaves(schema):
        if not steps or not isinstance(value, str):
            continue
        if steps[-1] in REFERENCES and not value.startswith("#"):
            hint = "write the referenced schema into `$defs`, and refer to it by `#/$defs/…`"
        elif steps[-1] == "$schema" and value.rstrip("#") != DIALECT:
            hint = f"leave `$schema` out: it is {DIALECT}"
        elif steps[-1] == "$id":
            hint = "leave `$id` out: the schema is not looked up there"
        else:
            continue
        yield owner.problem(
            _below(path, steps),
            "remote-ref",
            f"`{value[:80]}` refers outside the schema, and is not followed",
            hint=hint,
        )


def _patterns(owner: Resolved[Any], path: TreePath, schema: dict[str, Any]) -> Iterator[Problem]:
    for steps, pattern in dict.fromkeys(_written(schema)):
        found = fault(pattern)
        if found is not None:
            yield owner.problem(_below(path, steps), "bad-pattern", found[0], hint=found[1])


def _written(schema: dict[str, Any]) -> Iterator[tuple[TreePath, str]]:
    """Yield the patterns of a schema: those for strings, and those for property names."""
    for steps, value in leaves(schema):
        if steps and steps[-1] == "pattern" and isinstance(value, str):
            yield steps, value
        for number, step in enumerate(steps[:-1], 1):
            name = steps[number]
            if step == "patternProperties" and isinstance(name, str):
                yield steps[: number + 1], name


def _below(path: TreePath, steps: TreePath) -> TreePath:
    """Return where part of a schema is in the spec: the map of parameters has no key there."""
    return (*path, *(steps[1:] if path[-1] == "properties" else steps))
