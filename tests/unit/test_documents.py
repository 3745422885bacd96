"""Searches on a laptop: which stay, and where their collections are."""

import pytest

from fleetform.cli import documents


def search(store, **more):
    knowledge = {"store": store, "search": {"mode": "hybrid", "scoreThreshold": 0.3}, **more}
    return {"type": "retrieval", "name": "find", "knowledge": knowledge}


def kept(tool, *, by_words):
    document, notes = {"agent": {"name": "a"}, "tools": [tool]}, []
    documents.keep_here(document, by_words=by_words, notes=notes)
    return document["tools"], notes


FILE = {"type": "embedded", "collection": "c"}


def test_a_file_is_below_this_folder_and_one_without_vectors_is_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tool,), notes = kept(search(dict(FILE), embedding={}), by_words=False)
    assert tool["knowledge"]["store"]["path"] == str(tmp_path / ".fleetform/a/knowledge")
    assert notes == []
    (tool,), notes = kept(search(dict(FILE), embedding={"provider": "openai"}), by_words=True)
    assert tool["knowledge"]["store"]["path"] == str(tmp_path / ".fleetform/a/knowledge/by-words")
    assert tool["knowledge"]["search"] == {"mode": "keyword"}
    assert notes == ["find: searched by words, without its embedding"]


@pytest.mark.parametrize(
    ("host", "embedding", "stays"),
    [
        ("qdrant.example", {}, False),
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("localhost", {"embedding": {"provider": "openai"}}, False),
    ],
)
def test_with_the_scripted_model_no_server_elsewhere_is_asked(host, embedding, stays):
    server = {"type": "qdrant", "host": host, "port": 6333, "collection": "c"}
    tools, notes = kept(search(server, **embedding), by_words=True)
    assert bool(tools) is stays
    assert notes == ([] if stays else ["find: left out, it is on another machine"])
    tools, _ = kept(search(server, **embedding), by_words=False)
    assert tools


def test_each_collection_is_filled_once():
    tools = [search(dict(FILE)) | {"name": "one"}, search(dict(FILE)) | {"name": "two"}]
    assert documents.collections({"tools": tools}) == ["one"]
