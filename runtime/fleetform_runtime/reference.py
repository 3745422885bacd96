"""docs/runtime-configuration.md: the contract as a page, generated from its schema."""

import argparse
import sys
from pathlib import Path
from typing import Any

from fleetform_runtime.schema import contract, fleet_contract, workflow_contract

FILE = "runtime-configuration.md"
HEAD = """\
# Configuration of the runtime

<!-- Written by `make schemas` from the models in runtime/fleetform_runtime: edit those, not this. -->

One JSON document, `agent.json`, tells the runtime everything; prompts stand beside it as files. A workflow has
`workflow.json` in its place, the page of a fleet `fleet.json`. The generator writes all of them; to run something without
the generator, use this page and the schemas ([agent.json](../schemas/agent-runtime.json),
[workflow.json](../schemas/workflow-runtime.json), [fleet.json](../schemas/fleet-runtime.json)). Durations are seconds, secrets are references to a file or
an environment variable, a field that is not wanted is left out, and an unknown field stops the start.
"""


def page() -> str:
    """Return the page."""
    sections: list[str] = []
    done: set[str] = set()
    for document in (contract(), workflow_contract(), fleet_contract()):
        sections.append(_section(document["title"], document))
        for name in _order(document, document["$defs"]):
            if name not in done:
                done.add(name)
                sections.append(_section(name, document["$defs"][name]))
    return HEAD + "\n" + "\n".join(sections)


def _order(node: dict[str, Any], definitions: dict[str, Any]) -> list[str]:
    """Return the definitions in the order of their first use, depth first."""
    found: list[str] = []

    def visit(body: Any) -> None:
        if isinstance(body, list):
            for item in body:
                visit(item)
        elif isinstance(body, dict):
            name = body.get("$ref", "").removeprefix("#/$defs/")
            if name and name not in found:
                found.append(name)
                visit(definitions[name])
            for key, item in body.items():
                if key != "$defs":
                    visit(item)

    visit(node)
    return found


def _section(name: str, body: dict[str, Any]) -> str:
    title = f"## {name}\n\n{body.get('description', '')}\n"
    if "properties" not in body:
        return title
    required = set(body.get("required", ()))
    rows = [
        f"| `{field}` | {_type(schema)} | {'yes' if field in required else ''} | {_text(schema)} |"
        for field, schema in body["properties"].items()
    ]
    return (
        f"{title}\n| field | type | needed | what |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        return f"[{name}](#{name.lower()})"
    if several := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(item) for item in several))
    return _plain_type(schema)


def _plain_type(schema: dict[str, Any]) -> str:
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{item}`" for item in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_type(schema['additionalProperties'])}"
    return str(schema.get("type", "any"))


def _text(schema: dict[str, Any]) -> str:
    return str(schema.get("description", "")).replace("|", "\\|").replace("\n", " ")


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or with --check only report whether it differs; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m fleetform_runtime.reference", description=__doc__
    )
    parser.add_argument("directory", type=Path, help="folder to write the page to")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 3 on drift")
    options = parser.parse_args(arguments)
    path, text = options.directory / FILE, page()
    if path.is_file() and path.read_text("utf-8") == text:
        return 0
    if options.check:
        sys.stderr.write(f"{path} differs from the models; run without --check\n")
        return 3
    path.write_text(text, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
