"""Pages of docs/ that are derived as a whole: docs/reference/, a page per kind, and docs/metrics.md."""

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from fleetform import kinds, patterns
from fleetform.reference import WORDS, Row, document, rows

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "docs/reference/examples"
MADE = "<!-- Written by `make schemas`: edit the models and docs/reference/examples, not this. -->"
COMMON = "Agent"
"""The kind that describes the sections which others have too."""


def pages() -> dict[str, str]:
    """Return every page by its path below docs/."""
    found = {f"reference/{kind.lower()}.md": _kind(kind) for kind in kinds.NAMES}
    return {"reference/README.md": _index(), **found, "metrics.md": _metrics()}


# -- the reference -------------------------------------------------------------------------------


def _index() -> str:
    listed = [
        f"| [{kind}]({kind.lower()}.md) | {_cell(document(kind)['description'])} |"
        for kind in kinds.NAMES
    ]
    words = [
        f"| {word} | {_cell(patterns.WORDS[pattern])} |"
        for word, pattern in sorted((word, pattern) for pattern, word in WORDS.items())
    ]
    return "\n".join(
        [
            "# Reference of specs and environments",
            "",
            MADE,
            "",
            "Every field, with its type, limits, default and meaning. The same in a terminal, for a field",
            "and what is below it:",
            "",
            "```sh",
            "fleetform schema Agent scaling --format table",
            "```",
            "",
            "| kind | what it is |",
            "|---|---|",
            *listed,
            "",
            "In paths, `[]` is an item of a list and `<key>` a key of a map. An empty default means that the",
            "field is not set. Lists have at most 1,000 items where nothing else is said. The examples are [one small fleet](examples), which a test validates.",
            "",
            "## Types",
            "",
            "| type | how to write it |",
            "|---|---|",
            *words,
            "",
            "## metadata",
            "",
            *_table([row for row in rows(COMMON, "metadata") if row.path != "metadata"]),
            "",
        ]
    )


def _kind(kind: str) -> str:
    body = document(kind)
    lines = [f"# {kind}", "", MADE, "", body["description"], "", *_whole(kind)]
    if kind == kinds.AGENT_TEMPLATE.name:
        lines += [f"`spec` has the fields of [{COMMON}]({COMMON.lower()}.md).", ""]
        return "\n".join(lines)
    fields = rows(kind, "spec")[1:]
    top = [row for row in fields if row.path.count(".") == 1 and "[" not in row.path]
    below = {row.path: [one for one in fields if _is_below(one.path, row.path)] for row in top}
    lines += ["## spec", "", *_table(top, {path for path, inner in below.items() if inner}), ""]
    for row in top:
        if below[row.path]:
            lines += [f"## {row.path}", "", *_section(kind, row, below[row.path]), ""]
    return "\n".join(lines)


def _is_below(path: str, outer: str) -> bool:
    return path.startswith((f"{outer}.", f"{outer}["))


def _section(kind: str, row: Row, below: list[Row]) -> list[str]:
    text = [row.text or row.path, ""]
    if kind != COMMON and below == rows(COMMON, row.path)[1:]:
        return [*text, f"As for an [{COMMON}]({COMMON.lower()}.md#{_anchor(row.path)})."]
    return [*text, *_excerpt(kind, row.path.removeprefix("spec.")), *_table(below)]


def _table(found: list[Row], sections: Collection[str] = ()) -> list[str]:
    lines = ["| field | type and limits | default | what |", "|---|---|---|---|"]
    for row in found:
        field = f"`{row.path}`"
        if row.path in sections:
            field = f"[{field}](#{_anchor(row.path)})"
        text = _cell(row.text)
        if row.refers:
            page = f"[{row.refers}]({row.refers.lower()}.md#spec)"
            text = f"{text} Fields of {page}.".strip()
        lines.append(f"| {field} | {_cell(row.type_and_limits)} | {_cell(row.default)} | {text} |")
    return lines


def _anchor(heading: str) -> str:
    """Return the fragment that GitHub gives a heading."""
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


def _cell(text: str) -> str:
    """Escape what would end a cell, and outside of code what would be taken for a tag."""
    parts = text.replace("|", "\\|").split("`")
    parts[::2] = [part.replace("<", "\\<") for part in parts[::2]]
    return "`".join(parts)


# -- examples ------------------------------------------------------------------------------------


def _documents(kind: str) -> list[str]:
    return (EXAMPLES / f"{kind.lower()}.yaml").read_text("utf-8").split("---\n")


def _whole(kind: str) -> list[str]:
    return ["```yaml", _documents(kind)[0].rstrip(), "```", ""]


def _excerpt(kind: str, field: str) -> list[str]:
    """Return a field of an example, of the last one that has it: it is the richest."""
    found = [
        part[0]
        for text in _documents(kind)
        if (part := re.findall(rf"^  {field}:.*\n(?:    .*\n|\n(?=    ))*", text, re.MULTILINE))
    ]
    return ["```yaml", "spec:", found[-1].rstrip(), "```", ""] if found else []


# -- metrics -------------------------------------------------------------------------------------


def _metrics() -> str:
    known: list[dict[str, Any]] = json.loads((ROOT / "schemas/metrics.json").read_text("utf-8"))[
        "metrics"
    ]
    common = [label for label in known[0]["labels"] if label["name"] == "agent"]
    table = [
        f"| `{metric['name']}` | {metric['type']} | {metric.get('unit', '')} | {_labels(metric)} | {_cell(metric['help'])} |"
        for metric in known
    ]
    labels = [
        f"| `{metric['name']}` | `{label['name']}` | {_label(label)} |"
        for metric in known
        for label in metric["labels"]
        if label not in common
    ]
    return "\n".join(
        [
            "# Metrics of the runtime",
            "",
            MADE.replace("the models and docs/reference/examples", "runtime/fleetform_runtime"),
            "",
            "`/metrics` on port 9090. With the capability `prometheus-operator`, a ServiceMonitor and",
            "[alerts](alerts.md) are rendered. Every metric has the label `agent`, the name of the agent, on which",
            "queries of KEDA triggers and dashboards select. As data: [schemas/metrics.json](../schemas/metrics.json).",
            "",
            "| name | type | unit | labels besides `agent` | meaning |",
            "|---|---|---|---|---|",
            *table,
            "",
            "## Labels",
            "",
            "| metric | label | meaning |",
            "|---|---|---|",
            *labels,
            "",
            "## Buckets",
            "",
            "| metric | upper bounds |",
            "|---|---|",
            *(
                f"| `{metric['name']}` | {', '.join(map(str, metric['buckets']))} |"
                for metric in known
                if "buckets" in metric
            ),
            "",
        ]
    )


def _labels(metric: dict[str, Any]) -> str:
    return ", ".join(f"`{one['name']}`" for one in metric["labels"] if one["name"] != "agent")


def _label(label: dict[str, Any]) -> str:
    values = ", ".join(f"`{value}`" for value in label.get("values", ()))
    return _cell(f"{label['help']} {values and f'One of {values}.'}".strip())
