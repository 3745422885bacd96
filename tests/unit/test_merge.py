"""How layers become one spec: each rule once, through a whole environment."""

from pathlib import Path

import pytest

from tests.fleet import API, GOOD, fleet, fleetform, spec, write

MODEL = "model: {provider: ollama, name: qwen3, endpoint: 'https://models.example'}"
IMAGE = "image: {repository: example/own, tag: '1'}"


def agent(text: str = "", *, name: str = "a", metadata: str = "", kind: str = "Agent") -> str:
    body = "".join(f"  {line}\n" for line in text.strip().split("\n") if line) or "  {}\n"
    return f"{API}\nkind: {kind}\nmetadata: {{name: {name}{metadata}}}\nspec:\n{body}---\n"


def template(name: str, text: str) -> str:
    return agent(text, name=name, kind="AgentTemplate")


def environment(text: str = "", name: str = "prod") -> str:
    return agent(text, name=name, kind="Environment")


def merged(folder: Path, agents: str, *environments: str, name: str = "a", kind: str = "Agent"):
    """Return the typed spec of one document after all layers."""
    files = {
        "agents/a.yaml": agents,
        "environments/e.yaml": "".join(environments or [environment()]),
    }
    found, problems = fleet(write(folder, files))
    assert problems == ()
    return spec(found, name, kind)


def rendered(folder: Path, agents: str, *environments: str) -> str:
    """Return what `render` says, which must be an error."""
    files = {"agents/a.yaml": agents, "environments/e.yaml": "".join(environments)}
    outcome = fleetform("render", cwd=write(folder, files))
    assert outcome.code == 1
    return outcome.err


# -- precedence ----------------------------------------------------------------------------------

LAYERS = ["built-in", "defaults", "first template", "second template", "spec", "patch"]
DEFAULTS = "defaults: {Agent: {limits: {maxSteps: 1}}}"
PATCH = "patches: [{target: {kind: Agent}, spec: {limits: {maxSteps: 5}}}]"


@pytest.mark.parametrize("highest", range(6), ids=LAYERS)
def test_a_higher_layer_wins_over_all_below_it(highest, tmp_path):
    def limit(level: int) -> str:
        return f"\nlimits: {{maxSteps: {level}}}" if level <= highest else ""

    documents = (
        agent("extends: [one, two]" + limit(4))
        + template("one", "description: x" + limit(2))
        + template("two", "description: x" + limit(3))
    )
    above = "\n".join([DEFAULTS] * (highest >= 1) + [PATCH] * (highest >= 5))
    expected = highest if highest else 20
    assert merged(tmp_path, documents, environment(above)).limits.max_steps == expected


def test_a_template_wins_over_the_templates_that_it_extends(tmp_path):
    documents = (
        agent("extends: top")
        + template("top", "extends: base\ndescription: top")
        + template("base", "description: base\ndisplayName: base")
    )
    found = merged(tmp_path, documents)
    assert (found.description, found.display_name) == ("top", "base")


def test_an_agent_may_be_extended_like_a_template(tmp_path):
    documents = agent("extends: b") + agent("description: of b", name="b")
    assert merged(tmp_path, documents).description == "of b"


def test_labels_of_a_template_stay_with_it(tmp_path):
    base = agent("description: x", name="t", metadata=", labels: {team: x}", kind="AgentTemplate")
    files = {"agents/a.yaml": agent("extends: t") + base, "environments/e.yaml": environment()}
    found, _ = fleet(write(tmp_path, files))
    assert found.specs["Agent"]["default", "a"].typed.metadata.labels == {}


def test_a_template_of_the_namespace_wins_over_the_fleet_wide_one(tmp_path):
    own = agent("description: own", name="t", metadata=", namespace: default", kind="AgentTemplate")
    documents = agent("extends: t") + template("t", "description: fleet-wide") + own
    assert merged(tmp_path, documents).description == "own"


def test_what_one_layer_lacks_another_may_add(tmp_path):
    documents = agent(
        "extends: t\ncontainer: {image: {tag: '2'}}\nvolumes: [{name: v, readOnly: true}]"
    ) + template("t", "container: {image: {repository: example/own}}")
    defaults = environment(
        "defaults: {Agent: {volumes: [{name: v, mountPath: /v, emptyDir: 1Gi}]}}"
    )
    found = merged(tmp_path, documents, defaults)
    assert (found.container.image.repository, found.container.image.tag) == ("example/own", "2")
    (volume,) = found.volumes
    assert (volume.mount_path, volume.empty_dir, volume.read_only) == ("/v", "1Gi", True)


def test_what_all_layers_lack_is_a_problem_where_the_highest_stands(tmp_path):
    documents = agent("extends: t") + template("t", "container: {image: {tag: '2'}}")
    said = rendered(tmp_path, documents, environment())
    assert "agents/a.yaml:11:15: error: spec.container.image: `repository` is missing" in said
    assert said.count(": error: ") == 1


# -- maps, lists, null ---------------------------------------------------------------------------


def test_maps_merge_key_by_key(tmp_path):
    documents = agent("extends: t\nlimits: {maxSteps: 2}") + template(
        "t", "limits: {maxSteps: 1, maxToolCalls: 7}"
    )
    found = merged(tmp_path, documents).limits
    assert (found.max_steps, found.max_tool_calls) == (2, 7)


KEYED = {
    "env": ("env: [{name: A, value: low}, {name: B, value: low}]", "env: [{name: B, value: up}]"),
    "tools": (
        "tools: [{name: x, description: low}, {name: w, description: low}]",
        "tools: [{name: w, description: up}]",
    ),
    "volumes": (
        "volumes: [{name: x, mountPath: /x, emptyDir: 1Gi}, {name: w, mountPath: /w, secret: low}]",
        "volumes: [{name: w, mountPath: /up, secret: up}]",
    ),
    "ports": (
        f"container: {{{IMAGE}, ports: [{{name: x, containerPort: 1}}, {{name: w, containerPort: 2}}]}}",
        f"container: {{{IMAGE}, ports: [{{name: w, containerPort: 3}}]}}",
    ),
    "sidecars": (
        f"podTemplate: {{sidecars: [{{name: x, {IMAGE}}}, {{name: w, {IMAGE}}}]}}",
        f"podTemplate: {{sidecars: [{{name: w, {IMAGE}, args: [up]}}]}}",
    ),
    "initContainers": (
        f"podTemplate: {{initContainers: [{{name: x, {IMAGE}}}, {{name: w, {IMAGE}}}]}}",
        f"podTemplate: {{initContainers: [{{name: w, {IMAGE}, args: [up]}}]}}",
    ),
}


@pytest.mark.parametrize(("lower", "upper"), KEYED.values(), ids=KEYED)
def test_lists_with_a_natural_key_merge_by_it_in_the_order_of_the_lower_one(lower, upper, tmp_path):
    found = merged(tmp_path, agent(f"extends: t\n{upper}") + template("t", lower))
    field = {
        "env": lambda: [(item.name, item.value) for item in found.env],
        "tools": lambda: [(item.name, item.description) for item in found.tools],
        "volumes": lambda: [(item.name, item.mount_path) for item in found.volumes],
        "ports": lambda: [(item.name, item.container_port) for item in found.container.ports],
        "sidecars": lambda: [(item.name, item.args) for item in found.pod_template.sidecars],
        "initContainers": lambda: [
            (item.name, item.args) for item in found.pod_template.init_containers
        ],
    }
    expected = {
        "env": [("A", "low"), ("B", "up")],
        "tools": [("x", "low"), ("w", "up")],
        "volumes": [("x", "/x"), ("w", "/up")],
        "ports": [("x", 1), ("w", 3)],
        "sidecars": [("x", None), ("w", ["up"])],
        "initContainers": [("x", None), ("w", ["up"])],
    }
    name = next(key for key, pair in KEYED.items() if pair == (lower, upper))
    assert field[name]() == expected[name]


def test_a_new_item_of_a_keyed_list_goes_to_the_end(tmp_path):
    documents = agent("extends: t\nenv: [{name: A, value: a}]") + template(
        "t", "env: [{name: B, value: b}]"
    )
    assert [item.name for item in merged(tmp_path, documents).env] == ["B", "A"]


def test_tools_written_as_names_merge_with_tools_written_as_maps(tmp_path):
    kagent = agent("tools: [x, w]\ntools_: 1").replace("\n  tools_: 1", "")
    documents = kagent.replace("fleetform.dev", "kagent.dev").replace(
        "spec:\n", "spec:\n  extends: t\n"
    ) + template("t", "tools: [{name: w, description: why}, {name: z}]")
    found = merged(tmp_path, documents).tools
    assert [(item.name, item.description) for item in found] == [
        ("w", "why"),
        ("z", None),
        ("x", None),
    ]


@pytest.mark.parametrize(
    ("lower", "upper", "read"),
    [
        ("fallbacks: [x, w]", "fallbacks: [z]", lambda found: found.fallbacks == ["z"]),
        (
            f"container: {{{IMAGE}, args: [x, w]}}",
            f"container: {{{IMAGE}, args: [z]}}",
            lambda found: found.container.args == ["z"],
        ),
        (
            "podTemplate: {tolerations: [{key: x}, {key: w}]}",
            "podTemplate: {tolerations: [{key: z}]}",
            lambda found: [item.key for item in found.pod_template.tolerations] == ["z"],
        ),
        ("tools: [{name: x}]", "tools: []", lambda found: [i.name for i in found.tools] == ["x"]),
    ],
    ids=["names", "arguments", "tolerations", "an empty keyed list changes nothing"],
)
def test_other_lists_are_replaced(lower, upper, read, tmp_path):
    assert read(merged(tmp_path, agent(f"extends: t\n{upper}") + template("t", lower)))


def test_null_deletes_what_lower_layers_say(tmp_path):
    documents = agent("extends: t\ndescription: null\nlimits: {maxSteps: null}") + template(
        "t", "description: x\nlimits: {maxSteps: 7, maxToolCalls: 8}"
    )
    found = merged(tmp_path, documents)
    assert found.description is None
    assert (found.limits.max_steps, found.limits.max_tool_calls) == (20, 8)


def test_null_in_a_keyed_item_deletes_its_member_only(tmp_path):
    documents = agent("extends: t\ntools: [{name: x, description: null}]") + template(
        "t", "tools: [{name: x, description: w, requiresApproval: true}]"
    )
    (tool,) = merged(tmp_path, documents).tools
    assert (tool.description, tool.requires_approval) == (None, True)


def test_a_null_below_is_nothing_that_a_higher_layer_could_trip_over(tmp_path):
    documents = agent("extends: t\nlimits: {maxSteps: 3}") + template("t", "limits: null")
    assert merged(tmp_path, documents).limits.max_steps == 3


# -- environments --------------------------------------------------------------------------------


def test_an_environment_lays_its_own_values_over_those_that_it_extends(tmp_path):
    base = environment("platform: eks\nnamespaces: {suffix: -x, create: true}", "base")
    own = environment("extends: base\nplatform: gke\nnamespaces: {suffix: -y}")
    files = {"agents/a.yaml": agent(), "environments/e.yaml": base + own}
    found, _ = fleet(write(tmp_path, files))
    assert found.environment.platform == "gke"
    assert (found.environment.namespaces.suffix, found.environment.namespaces.create) == (
        "-y",
        True,
    )


def test_being_abstract_is_not_inherited(tmp_path):
    base = environment("abstract: true\nplatform: eks", "base")
    files = {
        "agents/a.yaml": agent(),
        "environments/e.yaml": base + environment("extends: base"),
    }
    found, _ = fleet(write(tmp_path, files))
    assert not found.environment.abstract


def patch(text: str, target: str = "kind: Agent") -> str:
    return f"patches: [{{target: {{{target}}}, spec: {{{text}}}}}]"


def test_patches_add_up_along_the_chain_the_roots_first(tmp_path):
    environments = (
        environment(patch("description: low, displayName: low"), "low"),
        environment("extends: low\n" + patch("description: mid"), "mid"),
        environment("extends: mid\n" + patch("limits: {maxSteps: 9}")),
    )
    found = merged(tmp_path, agent(), *environments)
    assert (found.description, found.display_name, found.limits.max_steps) == ("mid", "low", 9)


def test_an_environment_without_patches_keeps_those_of_its_base(tmp_path):
    base = environment(patch("description: low"), "low")
    assert merged(tmp_path, agent(), base, environment("extends: low")).description == "low"


def test_later_patches_win(tmp_path):
    both = "patches:\n" + "".join(
        f"  - {{target: {{kind: Agent}}, spec: {{description: {word}}}}}\n" for word in ("a", "b")
    )
    assert merged(tmp_path, agent(), environment(both)).description == "b"


TARGETS = {
    "kind": ("kind: Agent", {"a", "b", "c"}),
    "name": ("kind: Agent, name: a", {"a"}),
    "namespace": ("kind: Agent, namespace: team", {"b", "c"}),
    "one label": ("kind: Agent, labels: {tier: gold}", {"a", "b"}),
    "all labels": ("kind: Agent, labels: {tier: gold, zone: x}", {"b"}),
    "all together": ("kind: Agent, namespace: team, labels: {tier: gold}", {"b"}),
}


@pytest.mark.parametrize(("target", "names"), TARGETS.values(), ids=TARGETS)
def test_a_patch_changes_what_its_target_selects(target, names, tmp_path):
    documents = (
        agent(metadata=", labels: {tier: gold}")
        + agent(name="b", metadata=", namespace: team, labels: {tier: gold, zone: x}")
        + agent(name="c", metadata=", namespace: team, labels: {tier: lead}")
    )
    files = {
        "agents/a.yaml": documents,
        "environments/e.yaml": environment(patch("description: patched", target)),
    }
    found, _ = fleet(write(tmp_path, files))
    patched = {agent.name for agent in found.of("Agent") if agent.spec.description == "patched"}
    assert patched == names


@pytest.mark.parametrize(
    "target",
    [
        "kind: MCPServer",
        "kind: Agent, name: b",
        "kind: Agent, namespace: x",
        "kind: Agent, labels: {a: b}",
    ],
)
def test_a_patch_that_matches_nothing_is_a_problem(target, tmp_path):
    said = rendered(tmp_path, agent(), environment(patch("description: x", target)))
    assert "error: spec.patches[0].target: the patch matches nothing" in said


@pytest.mark.parametrize(
    ("kind", "document", "text", "read"),
    [
        ("MCPServer", "url: https://x.example", "timeoutSeconds: 9", "timeout_seconds"),
        ("MemoryStore", "type: in-memory", "description: '9'", "description"),
        ("ModelConfig", "provider: openai\nname: x", "contextTokens: 9", "context_tokens"),
    ],
)
@pytest.mark.parametrize("layer", ["defaults", "patches"])
def test_other_kinds_have_defaults_and_patches_too(kind, document, text, read, layer, tmp_path):
    above = f"defaults: {{{kind}: {{{text}}}}}"
    if layer == "patches":
        above = patch(text, f"kind: {kind}")
    documents = agent(document, name="x", metadata=", namespace: default", kind=kind)
    found = merged(tmp_path, documents, environment(above), name="x", kind=kind)
    assert str(getattr(found, read)).startswith("9")


def test_a_patch_may_change_one_field_of_a_deep_map(tmp_path):
    documents = agent(f"container: {{{IMAGE}, args: [x]}}")
    found = merged(tmp_path, documents, environment(patch("container: {image: {tag: '2'}}")))
    assert (found.container.image.repository, found.container.image.tag) == ("example/own", "2")
    assert found.container.args == ["x"]


def test_layers_that_are_right_alone_may_be_wrong_together(tmp_path):
    documents = agent(
        f"auth: {{type: none}}\nsystemPrompt: x\n{MODEL}\nscaling: {{minReplicas: 5}}"
    )
    said = rendered(tmp_path, documents, environment(patch("scaling: {maxReplicas: 2}")))
    assert (
        "agents/a.yaml:8:26: error: spec.scaling.minReplicas: minReplicas 5 is greater than" in said
    )


def test_a_problem_of_a_merged_value_points_to_the_layer_that_set_it(tmp_path):
    documents = agent(
        f"auth: {{type: none}}\nsystemPrompt: x\n{MODEL}\nscaling: {{maxReplicas: 2}}"
    )
    said = rendered(tmp_path, documents, environment(patch("scaling: {minReplicas: 5}")))
    assert "environments/e.yaml:5:" in said
    assert "spec.scaling.minReplicas: minReplicas 5 is greater than maxReplicas 2" in said


def test_files_may_come_in_any_order(tmp_path):
    files = {
        "agents/1.yaml": agent("extends: t\ndescription: own"),
        "agents/2.yaml": template("t", "description: low\ndisplayName: low"),
        "environments/1.yaml": environment("extends: base"),
        "environments/2.yaml": environment(patch("limits: {maxSteps: 3}"), "base"),
    }
    found, _ = fleet(write(tmp_path, files))
    one = spec(found, "a")
    assert (one.description, one.display_name, one.limits.max_steps) == ("own", "low", 3)


# -- patches of several kinds ---------------------------------------------------------------------

SEVERAL = """  patches:
    - target: {kind: [Agent, MCPServer]}
      spec: {podTemplate: {priorityClassName: high}}
"""
SERVER = (
    API
    + "\nkind: MCPServer\nmetadata: {name: files}\nspec:\n"
    + "  container: {image: {repository: example/files, tag: '1'}, ports: [{name: mcp, containerPort: 3000}]}\n"
)


def several(tmp_path, patches, *, server=True):
    environment = GOOD["environments/prod.yaml"] + patches
    files = {**GOOD, "environments/prod.yaml": environment}
    if server:
        files["agents/server.yaml"] = SERVER
    return fleetform("render", "--env", "prod", cwd=write(tmp_path, files))


def test_a_patch_may_change_several_kinds(tmp_path):
    done = several(tmp_path, SEVERAL)
    assert done.code == 0, done.err
    texts = [path.read_text("utf-8") for path in (tmp_path / "rendered/prod").rglob("*.yaml")]
    assert sum(text.count("priorityClassName: high") for text in texts) == 2


def test_a_kind_that_a_patch_does_not_find_is_said(tmp_path):
    done = several(tmp_path, SEVERAL, server=False)
    assert done.code == 0
    assert "warning: spec.patches[0].target.kind: the patch matches no MCPServer" in done.err


def test_what_one_of_the_kinds_does_not_have_is_refused_once(tmp_path):
    done = several(
        tmp_path, SEVERAL.replace("podTemplate: {priorityClassName: high}", "nonsense: 1")
    )
    assert done.code == 1
    assert done.err.count("unknown field `nonsense`") == 1
    done = several(tmp_path, SEVERAL.replace("podTemplate: {priorityClassName: high}", "peers: []"))
    assert done.err.count("unknown field `peers`") == 1
