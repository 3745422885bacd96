"""Graphs as text: Mermaid, which Git hosts draw, and DOT, which Graphviz draws as SVG."""

from __future__ import annotations

from collections.abc import Iterable

from fleetform.records import NamedTuple

FORMS = ("mermaid", "dot")


class Node(NamedTuple):
    """Something that is drawn: its name, which edges use, what is written in it, and the frame that it is in."""

    name: str
    label: str
    frame: str = ""
    is_round: bool = False


class Edge(NamedTuple):
    """An arrow between two nodes."""

    start: str
    end: str
    label: str = ""


def drawn(form: str, nodes: Iterable[Node], edges: Iterable[Edge]) -> str:
    """Return a graph in one of FORMS; nodes in the order given, frames in that of their first node."""
    listed = [*nodes]
    numbers = {node.name: f"n{number}" for number, node in enumerate(listed)}
    frames: dict[str, list[Node]] = {}
    for node in listed:
        frames.setdefault(node.frame, []).append(node)
    write = _mermaid if form == "mermaid" else _dot
    return write(frames, numbers, [*edges])


def _mermaid(frames: dict[str, list[Node]], numbers: dict[str, str], edges: list[Edge]) -> str:
    lines = ["flowchart LR"]
    for number, (frame, nodes) in enumerate(frames.items()):
        if frame:
            lines.append(f'  subgraph f{number}["{_escaped(frame)}"]')
        for node in nodes:
            label = f'"{_escaped(node.label)}"'
            shape = f"([{label}])" if node.is_round else f"[{label}]"
            lines.append(f"{'    ' if frame else '  '}{numbers[node.name]}{shape}")
        if frame:
            lines.append("  end")
    for edge in edges:
        label = f'|"{_escaped(edge.label)}"|' if edge.label else ""
        lines.append(f"  {numbers[edge.start]} -->{label} {numbers[edge.end]}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Return a text without the characters that Mermaid reads as its own."""
    return (
        text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace("\n", "<br>")
    )


def _dot(frames: dict[str, list[Node]], numbers: dict[str, str], edges: list[Edge]) -> str:
    lines = ["digraph {", "  rankdir=LR;", "  node [shape=box];"]
    for number, (frame, nodes) in enumerate(frames.items()):
        if frame:
            lines += [f"  subgraph cluster_{number} {{", f"    label={_quoted(frame)};"]
        for node in nodes:
            shape = ", style=rounded" if node.is_round else ""
            indent = "    " if frame else "  "
            lines.append(f"{indent}{numbers[node.name]} [label={_quoted(node.label)}{shape}];")
        if frame:
            lines.append("  }")
    for edge in edges:
        label = f" [label={_quoted(edge.label)}]" if edge.label else ""
        lines.append(f"  {numbers[edge.start]} -> {numbers[edge.end]}{label};")
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
