"""The documents of an agent on a laptop: collections in files of this folder, whatever store the spec names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleetform import kinds, view
from fleetform.cli import trust
from fleetform.contract import EMBEDDED

if TYPE_CHECKING:
    from fleetform.models.tool import Retrieval
    from fleetform.resolve import Fleet


def bring_here(fleet: Fleet) -> None:
    """Have every search of a fleet look into a file, so that it needs no server."""
    known = fleet.specs.get(kinds.TOOL.name, {})
    for key, tool in known.items():
        retrieval = tool.spec.retrieval
        if tool.spec.type == "retrieval" and retrieval is not None:
            spec = view.replace(tool.spec, retrieval=_in_a_file(retrieval))
            known[key] = tool.retyped(view.replace(tool.typed, spec=spec))


def _in_a_file(retrieval: Retrieval) -> Any:
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", retrieval.vector_store.collection)
    nothing = dict.fromkeys(view.given(retrieval.vector_store))
    store = view.replace(
        retrieval.vector_store,
        **{**nothing, "type": EMBEDDED, "collection": name.lstrip(".-") or "documents"},
    )
    return view.replace(retrieval, vector_store=store)


def keep_here(document: dict[str, Any], *, by_words: bool, notes: list[str]) -> None:
    """Keep the collections in files below this folder.

    `by_words`: without their embeddings, which are on another machine.
    """
    for tool in _searches(document):
        knowledge = tool["knowledge"]
        is_file = knowledge["store"]["type"] == EMBEDDED
        if by_words and not is_file:
            if not trust.is_local(_url(knowledge["store"]["host"])) or "embedding" in knowledge:
                document["tools"].remove(tool)
                notes.append(f"{tool['name']}: left out, it is on another machine")
            continue
        folder = Path(".fleetform", document["agent"]["name"], "knowledge").absolute()
        if by_words and knowledge.pop("embedding", None):
            knowledge["search"]["mode"] = "keyword"
            knowledge["search"].pop("scoreThreshold", None)
            # Beside the collection with vectors, which it cannot be compared with.
            folder /= "by-words"
            notes.append(f"{tool['name']}: searched by words, without its embedding")
        if is_file:
            knowledge["store"]["path"] = str(folder)


def _url(host: str) -> str:
    return f"//[{host}]" if ":" in host else f"//{host}"


def collections(document: dict[str, Any]) -> list[str]:
    """Return one search for each collection that an agent has."""
    found = {
        tool["knowledge"]["store"]["collection"]: tool["name"]
        for tool in reversed(_searches(document))
    }
    return [*reversed(found.values())]


def _searches(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [tool for tool in document.get("tools", []) if tool["type"] == "retrieval"]
