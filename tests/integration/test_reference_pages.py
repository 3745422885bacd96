"""The pages of docs/ are those that the models give."""

from tests.tools import ROOT, module


def test_the_pages_are_as_generated():
    stale = [
        name
        for name, text in module("tools/reference.py").pages().items()
        if (ROOT / "docs" / name).read_text("utf-8") != text
    ]
    assert stale == [], "run `make schemas`"
