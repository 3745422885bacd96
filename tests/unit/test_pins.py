"""Pins are written into the file of an environment, and nothing else in it changes."""

import pytest

from fleetform.pins import pinned
from fleetform.problems import SpecError

OLD, NEW = (f"sha256:{letter * 64}" for letter in "ab")
HEAD = """\
apiVersion: fleetform.dev/v1alpha1
kind: Environment
metadata: {name: prod}
"""
BLOCK = f"""\
# Production.
{HEAD}spec:
  images:
    # What was tested.
    pins:
      team/agent:
        tag: 1.0.0  # since May
        digest: {OLD}
      team/other: {{tag: 2.0.0}}

  targets: [manifests, helm]   # in this order
  patches:
    - target: {{kind: Agent}}
      spec:
        env:
          - {{name: A, value: "1"}}
"""


def pin(text: str, tag: str = "1.1.0", image: str = "team/agent") -> str:
    return pinned(text, "prod.yaml", "prod", {image: (tag, NEW)})


def test_an_entry_is_changed_in_its_place():
    assert pin(BLOCK) == BLOCK.replace("tag: 1.0.0", "tag: 1.1.0").replace(OLD, NEW)


def test_an_entry_is_added_below_the_others():
    entry = f"      team/new:\n        tag: 1.1.0\n        digest: {NEW}\n"
    assert entry in pin(BLOCK, image="team/new")
    assert f"{HEAD}spec:\n" in pin(BLOCK, image="team/new")


@pytest.mark.parametrize(
    "spec",
    [
        "spec: {}\n",
        "spec:\n  platform: eks\n",
        "spec:\n  images:\n  platform: eks\n",
        "spec:\n  images: {registry: ghcr.io/acme}\n",
        "spec:\n  images:\n    pins:\n",
        f"spec: {{images: {{pins: {{team/agent: {{digest: {OLD}}}}}}}}}\n",
    ],
)
def test_what_is_missing_is_made(spec):
    assert NEW in pin(HEAD + spec)
    assert OLD not in pin(HEAD + spec)


@pytest.mark.parametrize(
    "tag", ["1.10", "on", "1_0", "0x10", "12e3", "null", "1.1.0", "v1", "2024-01-01"]
)
def test_a_tag_stays_text(tag):
    text = pin(BLOCK, tag)
    assert f'tag: "{tag}"' in text or f"tag: {tag} " in text


def test_other_documents_of_the_file_stay_as_they_are():
    other = BLOCK.replace("name: prod", "name: base").replace("- target", "-   target")
    for text in (f"{other}---\n{BLOCK}", f"---\n{BLOCK}---\n{other}"):
        assert pin(text) == text.replace(BLOCK, pin(BLOCK))


def test_pins_twice_are_pins_once():
    assert pin(pin(BLOCK)) == pin(BLOCK)


def test_shared_values_are_not_changed_for_others():
    shared = BLOCK.replace("team/agent:\n", "team/agent: &it\n").replace("{tag: 2.0.0}", "*it")
    with pytest.raises(SpecError) as caught:
        pin(shared)
    (problem,) = caught.value.problems
    assert problem.code == "cannot-edit"
    assert f"team/agent: {{tag: 1.1.0, digest: {NEW}}}" in problem.hint
