"""The reference: every field of every kind in a row, the pages of docs/ as generated, examples that are valid."""

import json
import re
from typing import Any

import pytest
import yaml

from fleetform import kinds, reference
from fleetform.reference import rows
from fleetform.validators import schema
from tests.fleet import fleetform
from tests.tools import ROOT

REFERENCE = ROOT / "docs/reference"
EXAMPLES = REFERENCE / "examples"
of_each_kind = pytest.mark.parametrize("kind", kinds.NAMES)


def described(kind: str) -> dict[str, str]:
    """Return the description of each field by its definition and name, as the schema has them."""
    found = {}

    def visit(owner: str, node: Any) -> None:
        for name, field in node.get("properties", {}).items():
            found[f"{owner}.{name}"] = field.get("description", "")

    body = reference.document(kind)
    visit(kind, body)
    for name, definition in body["$defs"].items():
        visit(name, definition)
    return found


@of_each_kind
def test_every_field_has_a_row(kind):
    """Counted by name: whatever the schema knows somewhere has a row, here or in the kind it refers to."""
    mine = rows(kind)
    others = [row for one in {row.refers for row in mine if row.refers} for row in rows(one)]
    named = {row.path.rpartition(".")[2] for row in [*mine, *others]}
    assert {field.rpartition(".")[2] for field in described(kind)} <= named


@of_each_kind
def test_every_row_says_what_it_is(kind):
    silent = [row.path for row in rows(kind) if not row.text or not row.type]
    assert silent == []
    assert not [row.path for row in rows(kind) if "Default:" in row.text]
    assert len({row.path for row in rows(kind)}) == len(rows(kind))


@pytest.mark.parametrize(
    ("path", "kind", "limits", "default"),
    [
        ("spec.scaling.maxReplicas", "integer", "1 to 10000", "`minReplicas`, which is a fixed number"),
        ("spec.resources.requests.cpu", "quantity", "", "the environment's or the built-in one"),
        ("spec.observability.metrics.intervalSeconds", "integer", "5 to 3600", "`30`"),
        ("spec.model.timeoutSeconds", "number", "above 0, at most 3600", "120"),
        ("spec.auth.type", "`none`, `apiKey`, `oidc`", "", "required"),
        ("spec.extends", "name or list of names", "at most 253 characters, each at most 253 characters", "none"),
        ("metadata.labels", "map to label values", "each at most 63 characters", "none"),
    ],
)  # fmt: skip
def test_a_row_has_type_limits_and_default(path, kind, limits, default):
    row = rows("Agent", path)[0]
    assert (row.path, row.type, row.limits, row.default) == (path, kind, limits, default)


@pytest.mark.parametrize("asked", ["tools[search].kind", "spec.tools[].kind", "tools.kind"])
def test_a_field_is_found_however_its_items_are_written(asked):
    assert [row.path for row in rows("Agent", asked)] == ["spec.tools[].kind"]


def test_the_spec_of_another_kind_is_referred_to_unless_it_is_asked_for():
    assert not [row for row in rows("Agent") if row.path.startswith("spec.model.")]
    assert rows("Agent", "model.temperature")[0].limits == "0 to 2"
    below = rows("Environment", "defaults.Agent.scaling.keda")
    assert below[0].path == "spec.defaults.Agent.scaling.keda"
    assert len(below) > 5


def test_every_cell_of_a_page_stays_in_its_column():
    for page in [*REFERENCE.glob("*.md"), ROOT / "docs/metrics.md"]:
        tables = [line for line in page.read_text("utf-8").splitlines() if line.startswith("|")]
        widths = {line.replace("\\|", "").count("|") for line in tables}
        assert widths <= {3, 4, 5, 6}, page
        assert not [line for line in tables if "<key>" in line.replace("`", "``").split("``")[::2]]


@of_each_kind
def test_every_kind_has_an_example_in_parts_that_are_yaml(kind):
    text = (REFERENCE / f"{kind.lower()}.md").read_text("utf-8")
    blocks = [part.partition("```")[0] for part in text.split("```yaml\n")[1:]]
    assert yaml.load(blocks[0], Loader=yaml.CSafeLoader)["kind"] == kind
    assert all(list(yaml.load(block, Loader=yaml.CSafeLoader)) == ["spec"] for block in blocks[1:])


def test_the_examples_are_a_fleet_that_renders(tmp_path):
    options = ["--env", "prod", "--environments", str(EXAMPLES)]
    outcome = fleetform("validate", str(EXAMPLES), *options, "--format", "json", cwd=tmp_path)
    assert outcome.code == 0
    found = json.loads(outcome.out)
    assert found == []


def test_what_names_a_config_map_does_not_speak_of_a_secret_and_the_other_way_round():
    """A part of two uses is described for both, or there are two."""
    found = 0
    for kind in kinds.NAMES:
        parts = schema(kind)["$defs"]
        for part in parts.values():
            for name, rule in part.get("properties", {}).items():
                ours, others = (
                    ("Secret", "ConfigMap") if "ecret" in name else ("ConfigMap", "Secret")
                )
                if not re.search(r"(?i)configMap(Key)?Ref$|secret(Key)?Ref$", name):
                    continue
                for below in re.findall(r"#/\$defs/(\w+)", json.dumps(rule)):
                    found += 1
                    texts = [item["description"] for item in parts[below]["properties"].values()]
                    assert not any(others in text and ours not in text for text in texts), (
                        name,
                        below,
                    )
    assert found > 20
