"""What is wrong with a dashboard that Grafana's own types do not say."""

import json
import re
from collections.abc import Iterator
from typing import Any

Board = dict[str, Any]
COLUMNS = 24
LONGEST_UID = 40
KINDS = frozenset(("row", "timeseries", "stat", "gauge", "table", "barchart", "heatmap", "text"))
UNITS = frozenset(("short", "s", "reqps", "percentunit", "currencyUSD", "bytes"))
BUILT_IN = frozenset(("__rate_interval", "__range", "__interval"))


def panels(board: Board) -> Iterator[Board]:
    """Yield the panels of a dashboard that show something, those of closed rows too."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def targets(board: Board) -> Iterator[tuple[Board, Board]]:
    """Yield each query with its panel."""
    for panel in panels(board):
        for target in panel["targets"]:
            yield panel, target


def faults(board: Board) -> list[str]:
    """Return what is wrong, in words; nothing if all is well."""
    return [*_whole(board), *_panels(board), *_queries(board)]


def _whole(board: Board) -> Iterator[str]:
    if not re.fullmatch(rf"[-_A-Za-z0-9]{{1,{LONGEST_UID}}}", str(board.get("uid"))):
        yield f"uid {board.get('uid')!r}"
    if not board.get("title"):
        yield "no title"
    if board.get("graphTooltip") not in (0, 1, 2):
        yield f"graphTooltip {board.get('graphTooltip')}"
    if "${" in json.dumps(board):
        yield "a brace behind a dollar sign, which Flux would replace"


def _panels(board: Board) -> Iterator[str]:
    everything = [*board["panels"], *(p for row in board["panels"] for p in row.get("panels", ()))]
    numbers = [panel["id"] for panel in everything]
    yield from {f"id {number} twice" for number in numbers if numbers.count(number) > 1}
    for panel in everything:
        called = panel.get("title") or f"panel {panel['id']}"
        if not panel.get("title"):
            yield f"{called}: no title"
        if panel["type"] not in KINDS:
            yield f"{called}: type {panel['type']}"
        place = panel["gridPos"]
        if place["x"] < 0 or place["x"] + place["w"] > COLUMNS or min(place["w"], place["h"]) < 1:
            yield f"{called}: out of the grid"
        unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit")
        if panel["type"] != "row" and unit not in UNITS:
            yield f"{called}: unit {unit}"
    for shown in (board["panels"], *(row.get("panels", ()) for row in board["panels"])):
        yield from _overlaps(shown)


def _overlaps(shown: list[Board]) -> Iterator[str]:
    taken: dict[tuple[int, int], str] = {}
    for panel in shown:
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                other = taken.setdefault((x, y), panel.get("title", ""))
                if other != panel.get("title", ""):
                    yield f"{panel.get('title')}: over {other}"
                    return


def _queries(board: Board) -> Iterator[str]:
    declared = {variable["name"] for variable in board["templating"]["list"]} | BUILT_IN
    for panel, target in targets(board):
        called = f"{panel.get('title')} {target.get('refId')}"
        source = target.get("datasource") or {}
        if source != {"type": "prometheus", "uid": "$datasource"}:
            yield f"{called}: data source {source}"
        if [other["refId"] for other in panel["targets"]].count(target["refId"]) > 1:
            yield f"{called}: twice"
        for name in re.findall(r"\$(\w+)", target["expr"]):
            if name not in declared:
                yield f"{called}: no variable {name}"
