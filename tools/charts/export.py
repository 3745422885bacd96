"""Generate what is derived from the charts' values.yaml: values.schema.json, the README, the alert rules.

Usage: export.py [--check] SCHEMAS, the folder of Kubernetes' own schemas (tools/install.py
schemas).
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from types_of_values import Schema, schema_of

from fleetform.platforms.kubernetes import alerting, alerts, dashboards, kinds, objectives

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
COMMENT = re.compile(r"-- (?:\((.*?)\) )?(.*)")
DRAFT = "https://json-schema.org/draft/2020-12/schema"
LOCAL = "#/$defs/"
# Where Kubernetes' types are described among others.
KINDS = (
    "apps/deployment_v1",
    "autoscaling/horizontalpodautoscaler_v2",
    "networking.k8s.io/ingress_v1",
    "networking.k8s.io/networkpolicy_v1",
    "rbac.authorization.k8s.io/role_v1",
)
OF_UMBRELLAS: Schema = {
    "global": {
        "type": "object",
        "description": "What an umbrella chart shares with all its charts; Helm passes it, nothing reads it here.",
    },
    "enabled": {
        "type": "boolean",
        "description": "For the `condition` of an umbrella chart; without one it is refused.",
    },
}
"""Values that are none of a chart's own, and that reach it as a part of another chart."""
# Filled in by the chart, so that users need not set it.
FILLED = ("contract", "agent", "prompt")


@dataclass(frozen=True)
class Value:
    """A chart value: its path, type, description and default, and whether it is a leaf."""

    path: str
    type: str
    description: str
    default: Any
    leaf: bool


def values(chart: Path) -> list[Value]:
    """Return a chart's values in the order of its values.yaml."""
    text = (chart / "values.yaml").read_text("utf-8")
    return [*_values(yaml.compose(text), text.split("\n"), yaml.safe_load(text), "")]


def _values(node: Any, lines: list[str], data: Any, prefix: str) -> Iterator[Value]:
    for key, child in node.value:
        path, default = f"{prefix}{key.value}", data[key.value]
        nested = isinstance(default, dict) and bool(default)
        kind, description = _comment(lines, key.start_mark.line)
        yield Value(path, kind, description, default, not nested)
        if nested:
            yield from _values(child, lines, default, f"{path}.")


def _comment(lines: list[str], number: int) -> tuple[str, str]:
    """Return type and text of the comment right above a line: two dashes, the type in brackets, text."""
    found: list[str] = []
    while number and lines[number - 1].strip().startswith("#"):
        number -= 1
        found.insert(0, lines[number].strip().removeprefix("#").strip())
    parts = COMMENT.fullmatch(" ".join(found))
    return (parts[1] or "", parts[2]) if parts else ("", "")


def schema(chart: str, found: list[Value], definitions: Schema) -> Schema:
    """Return the schema of a chart's values: closed, except for what Helm and umbrella charts add at the root."""
    types = _types(chart, found)
    undescribed = [value.path for value in found if value.leaf and not value.description]
    untyped = [v.path for v in found if v.leaf and not _typed(v.path, types)]
    for what, names in (
        ("without a comment", undescribed),
        ("without a type", untyped),
    ):
        if names:
            raise SystemExit(f"charts/{chart}: {what}: {', '.join(names)}")
    body = {
        "$schema": DRAFT,
        "title": f"Values of the chart {chart}",
        "type": "object",
        "properties": {**_properties(found, types, ""), **OF_UMBRELLAS},
        "additionalProperties": False,
    }
    return {**body, "$defs": _reachable(body, definitions)}


def _types(chart: str, found: list[Value]) -> dict[str, Schema]:
    """Return the types of values by path. Raises SystemExit for unknown types."""
    types: dict[str, Schema] = {}
    for value in found:
        if value.type:
            try:
                types[value.path] = schema_of(value.type)
            except KeyError:
                raise SystemExit(
                    f"charts/{chart}: {value.path}: `{value.type}` is not a type of tools/charts/types_of_values.py"
                ) from None
    return types


def _typed(path: str, types: dict[str, Schema]) -> bool:
    """Whether a value or one that contains it has a type."""
    parts = path.split(".")
    return any(".".join(parts[: end + 1]) in types for end in range(len(parts)))


def _properties(found: list[Value], types: dict[str, Schema], prefix: str) -> Schema:
    properties: Schema = {}
    for value in found:
        name = value.path.removeprefix(prefix)
        if not value.path.startswith(prefix) or "." in name:
            continue
        above = types.get(prefix.removesuffix("."), {}).get("additionalProperties")
        body: Schema = dict(types.get(value.path) or above or {})
        if value.description:
            body["description"] = value.description
        if value.leaf:
            body["default"] = value.default
        else:
            body |= {"type": "object", "properties": _properties(found, types, f"{value.path}.")}
            if value.path not in types:
                body["additionalProperties"] = False
        properties[name] = body
    return properties


def _reachable(body: Schema, definitions: Schema) -> Schema:
    """Return the definitions that a schema refers to, and make the references local."""
    found: Schema = {}
    waiting = [body]
    while waiting:
        for holder in _references(waiting.pop()):
            name = holder["$ref"]
            short = name.rpartition(".")[2] if name.startswith("io.k8s.") else name
            holder["$ref"] = LOCAL + short
            if short not in found:
                found[short] = json.loads(json.dumps(definitions[name]))
                waiting.append(found[short])
    return dict(sorted(found.items()))


def _references(node: Any) -> Iterator[Schema]:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    name = node.get("$ref") if isinstance(node, dict) else None
    if isinstance(name, str) and not name.startswith(LOCAL):
        yield node
    for child in children:
        yield from _references(child)


def definitions(schemas: Path) -> Schema:
    """Return Kubernetes' types, and those of agent.json without what the chart fills in."""
    found: Schema = {}
    for kind in KINDS:
        text = (schemas / f"{kind}.json").read_text("utf-8")
        found |= json.loads(text.replace("#/definitions/", ""))["definitions"]
    runtime = json.loads((ROOT / "schemas/agent-runtime.json").read_text("utf-8"))
    runtime = json.loads(json.dumps(runtime).replace(f'"{LOCAL}', '"agent.json.'))
    for name, body in runtime.pop("$defs").items():
        found[f"agent.json.{name}"] = body
    found["agent.json.Agent"].pop("required")
    runtime["required"] = [name for name in runtime["required"] if name not in FILLED]
    found["agent.json"] = {k: v for k, v in runtime.items() if not k.startswith(("$", "x-"))}
    return found


def files(schemas: Path) -> dict[Path, str]:
    """Return every generated file by its path."""
    known = definitions(schemas)
    prose = Environment(
        loader=FileSystemLoader(HERE),
        undefined=StrictUndefined,
        variable_start_string="[[",
        variable_end_string="]]",
        keep_trailing_newline=True,
        trim_blocks=True,
        autoescape=False,
    )
    made: dict[Path, str] = {}
    for chart in ("agent", "namespace"):
        folder = ROOT / "charts" / chart
        found = values(folder)
        made[folder / "values.schema.json"] = _json(schema(chart, found, known))
        head = yaml.safe_load((folder / "Chart.yaml").read_text("utf-8"))
        table = [(v.path, v.type, v.description, _shown(v.default)) for v in found if v.leaf]
        readme = prose.get_template(f"{chart}.md.jinja")
        made[folder / "README.md"] = readme.render(chart=head, table=table)
    for kind in kinds.KINDS:
        # Flags inside a pattern exist only in RE2; checking those is left to the API server.
        found_there = json.loads((schemas / kind.schema_file).read_text("utf-8"))
        text = json.dumps(_without_flags(found_there), separators=(",", ":")) + "\n"
        made[ROOT / "schemas/objects" / f"{kind.kind.lower()}.json"] = text
    stand_ins = {name: f"@{name}@" for name in alerts.THRESHOLDS}
    urgency = {name: name for name in alerting.SEVERITIES}
    rules = alerts.groups(
        "@namespace@",
        thresholds=stand_ins,
        severities=urgency,
        budget=f"@{alerts.BUDGET}@",
        collector=True,
    )
    of_objectives = objectives.rules("@namespace@", severities=urgency)
    rules.append({"name": "@namespace@.objectives", "rules": of_objectives})
    made[ROOT / "charts/namespace/files/alerts.json"] = _json(rules)
    made[ROOT / "charts/namespace/files/dashboard.json"] = dashboards.template()
    routes = {"work": alerting.OF_WORK, "answers": alerting.OF_ANSWERS}
    made[ROOT / "charts/agent/files/routes.json"] = _json(routes)
    return made


def _without_flags(node: Any) -> Any:
    """Return a schema without the patterns that JSON Schema's own dialect cannot express."""
    if isinstance(node, dict):
        return {
            key: _without_flags(value)
            for key, value in node.items()
            if not (key == "pattern" and isinstance(value, str) and "(?" in value)
        }
    return [_without_flags(item) for item in node] if isinstance(node, list) else node


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _shown(default: Any) -> str:
    text = json.dumps(default, ensure_ascii=False)
    return f"`{text}`" if len(text) <= 40 else "see values.yaml"


def main(arguments: list[str]) -> int:
    """Write the files, or with --check report which differ."""
    check = "--check" in arguments
    schemas = Path(next(word for word in arguments if not word.startswith("-")))
    stale = []
    for path, text in files(schemas).items():
        if not path.is_file() or path.read_text("utf-8") != text:
            stale.append(str(path.relative_to(ROOT)))
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
    if check and stale:
        print(f"stale: {', '.join(stale)}: run `make charts`", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
