"""Objects that become others by chance: what an environment may change, and more."""

import copy
import random
from typing import Any

TAB_FIRST = "\thead\nmore"
"""Kustomize reads it anywhere but in an annotation."""
HOSTILE = (
    TAB_FIRST,
    *("", " ", "x", "y", "on", "null", "~", "true", "1", "0", "-0", "1e3", "0.1", "1e-7", "012"),
    *("0o17", "1:30", "1000000", "{{ .Values.x }}", "${VAR}", "$(VAR)", "<<", "a: b", "- a", "#a"),
    *(
        "tail  ",
        "\thead",
        "two\nlines",
        "two\nlines\n",
        "ends\n\n",
        " lead\nand more",
        "a\r\nb",
        "\r",
    ),
    *("\u2028", "naïve 😀", "a\n\tb\n", "'", '"', "\\", "|", ">-", "&a", "*a", "!t"),
    "---\na: b\n...\n",
)
NUMBERS = (0, 1, -1, 80, 1_000_000, 2**53, 0.1, 1e-7, 1.5)
KEPT = frozenset(("apiVersion", "kind", "metadata", "name", "namespace", "selector", "image"))
"""Fields that are what they are: by them objects, items and pods are found again."""

Json = Any


def changed(chance: random.Random, item: Json, times: int) -> Json:
    """Return an object with some fields set, added, removed, and lists cut, filled and mixed."""
    twin = copy.deepcopy(item)
    for _ in range(times):
        _change(chance, twin)
    if chance.random() < 0.1:
        twin["metadata"].pop("labels", None)
    annotations = twin["metadata"].setdefault("annotations", {})
    for number in range(chance.randint(0, 2)):
        annotations[f"example.com/note-{number}"] = chance.choice(HOSTILE[1:])
    if annotations and chance.random() < 0.3:
        annotations.pop(chance.choice(sorted(annotations)))
    if not annotations:
        del twin["metadata"]["annotations"]
    return twin


def _change(chance: random.Random, item: Json) -> None:
    body = [key for key in item if key not in KEPT]
    if not body:
        return
    key = chance.choice(body)
    owner = item
    while True:
        value = owner[key]
        if isinstance(value, dict) and value and chance.random() < 0.8:
            keys = [name for name in value if name not in KEPT]
            if not keys:
                return
            owner, key = value, chance.choice(keys)
        elif isinstance(value, list) and value and chance.random() < 0.5:
            owner, key = value, chance.randrange(len(value))
        else:
            break
    if owner is item:
        return
    owner[key] = _other(chance, owner[key])
    if isinstance(owner, dict) and chance.random() < 0.2:
        del owner[key]


def _other(chance: random.Random, value: Json) -> Json:
    if isinstance(value, dict):
        more = {f"k{chance.randrange(3)}": _leaf(chance)}
        return chance.choice([{**value, **more}, value if "name" in value else {}])
    if isinstance(value, list):
        mixed = chance.sample(value, len(value))
        cut = value[: chance.randint(0, len(value))]
        return chance.choice([mixed, cut, value])
    if isinstance(value, str):
        return chance.choice(HOSTILE)
    # No field of Kubernetes may be either.
    return not value if isinstance(value, bool) else chance.choice(NUMBERS)


def _leaf(chance: random.Random) -> Json:
    return chance.choice(
        [chance.choice(HOSTILE), chance.choice(NUMBERS), True, {}, [], {"a": []}, ["x"]]
    )
