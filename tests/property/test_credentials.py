"""The look that spares most trees the search for credentials misses none of them."""

from hypothesis import given
from hypothesis import strategies as st

from fleetform import leaks
from fleetform.problems import Mark
from fleetform.rules import credentials
from fleetform.tree import Map, Seq, leaves

SECRET = f"sk-{'a1B2' * 12}"
TEXTS = (
    "",
    "word",
    "Two words. And a.b.c.",
    "--token=abc",
    "--password",
    "Bearer",
    SECRET,
    "hunter2",
    "S3cretPassw0rd",
    "password = hunter2",
)
KEYS = (
    "env",
    "name",
    "value",
    "headers",
    "authorization",
    "args",
    "command",
    "spec",
    "TOKEN",
    "annotations",
    "configFiles",
    "password",
    "objectPatches",
    "default",
    "input",
    "properties",
    SECRET,
)
HERE = Mark("file.yaml", 1, 1, 1, 1)

leaf = st.sampled_from((*TEXTS, 1, True, "API_TOKEN"))
trees = st.recursive(
    leaf,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
    ),
    max_leaves=12,
)


def marked(node):
    """Return a tree as the reader gives it."""
    if isinstance(node, dict):
        found = Map(HERE)
        for key, value in node.items():
            found.put(key, marked(value), HERE)
        return found
    if isinstance(node, tuple):
        seq = Seq(HERE)
        for value in node:
            seq.add(marked(value), HERE)
        return seq
    return node


def places(tree):
    """Yield the place of each credential, by the judgement of every leaf."""
    for path, value in leaves(tree):
        if path and isinstance(value, str) and value and credentials._kind(tree, path, value):
            yield path
        if path and isinstance(path[-1], str) and leaks.kind_of(path[-1]):
            yield path


@given(st.dictionaries(st.sampled_from(KEYS), trees, min_size=1, max_size=4))
def test_every_credential_is_said_at_its_place(plain):
    tree = marked(plain)
    assert [path for path, _ in credentials._leaks(tree)] == [*places(tree)]


@given(st.text(alphabet="ab.-_:=@ sk0XY", max_size=40))
def test_a_text_is_judged_by_every_pattern_that_could_fit(text):
    slowly = next(
        (kind for kind, _, pattern in leaks.forms() if leaks._pattern(pattern).search(text)), ""
    )
    assert leaks.kind_of(text) == (slowly if len(text) >= leaks.SHORTEST else "")
