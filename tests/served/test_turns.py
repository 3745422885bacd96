"""Accepted means served: whatever a spec may say changes the output, or a Problem says why it does not."""

import re

import pytest

from tests.served.leaves import leaves
from tests.served.reasons import NEVER, SILENT
from tests.served.turns import Turn, turns

pytestmark = pytest.mark.proof

KINDS = (
    *("Agent", "AgentTemplate", "ModelConfig", "Tool", "MCPServer", "MemoryStore"),
    *("Workflow", "WorkflowRun", "Environment"),
)
LEAVES = [(kind, leaf) for kind in KINDS for leaf in leaves(kind)]
WITHOUT_CHANGE = {
    # Its contexts are two: what a template says is turned in all of them in the agents' own specs.
    "AgentTemplate",
}


def _reason(table: dict[str, str], name: str) -> str:
    return next((reason for form, reason in table.items() if re.fullmatch(form, name)), "")


@pytest.mark.parametrize(("kind", "leaf"), LEAVES, ids=lambda word: word)
def test_what_is_turned_shows_or_a_problem_says_why_not(kind, leaf):
    name = f"{kind}:{leaf}"
    found: list[Turn] = [*turns(kind, leaf)]
    tried = [turn for turn in found if turn.result != "no value"]
    assert tried, f"{name} has no other value: add one to tests/served/values.py"
    silent = [turn.context for turn in tried if turn.result == "silent"]
    assert not silent or _reason(SILENT, name), f"{name} does nothing and says nothing: {silent}"
    changed = any(turn.result == "changed" for turn in tried)
    assert changed or kind in WITHOUT_CHANGE or _reason(NEVER, name), (
        f"{name} changes no output in any fleet of tests/served/fleets.py"
    )


def test_every_reason_is_that_of_a_leaf():
    names = [f"{kind}:{leaf}" for kind, leaf in LEAVES]
    for form in (*SILENT, *NEVER):
        assert any(re.fullmatch(form, name) for name in names), form
