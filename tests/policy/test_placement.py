"""What a spec may say of nodes: its own wishes, and nothing that binds pods or takes nodes of others."""

import json

import pytest

from tests.fleet import AGENT, ENVIRONMENT, fleetform, write

TERM = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "x"}}}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def away(term: dict, kind: str = "podAntiAffinity") -> dict:
    return {"affinity": {kind: {REQUIRED: [term]}}}


TAKES = {
    "every taint": {"tolerations": [{"operator": "Exists"}]},
    "every taint of an effect": {"tolerations": [{"operator": "Exists", "effect": "NoSchedule"}]},
    "an empty key": {"tolerations": [{"key": "", "operator": "Exists"}]},
    "the second": {
        "tolerations": [{"key": "gpu"}, {"key": "CriticalAddonsOnly", "operator": "Exists"}]
    },
    "control planes": {"tolerations": [{"key": "node-role.kubernetes.io/control-plane"}]},
    "old control planes": {
        "tolerations": [{"key": "node-role.kubernetes.io/master", "operator": "Exists"}]
    },
    "cordoned nodes": {
        "tolerations": [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]
    },
    "lost nodes": {"tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}]},
    "nodes that come": {
        "tolerations": [{"key": "node.cloudprovider.kubernetes.io/uninitialized", "value": "true"}]
    },
    "nodes that go": {"tolerations": [{"key": "karpenter.sh/disrupted", "operator": "Exists"}]},
    "all namespaces": away({**TERM, "namespaceSelector": {}}),
    "some namespaces": away({**TERM, "namespaceSelector": {"matchLabels": {"team": "b"}}}),
    "a namespace": away({**TERM, "namespaces": ["default", "payments"]}),
    "a priority": {"priorityClassName": "important"},
    "a system's priority": {"priorityClassName": "system-node-critical"},
}
HARMLESS = {
    "a taint of its own": {"tolerations": [{"key": "dedicated", "value": "data", "effect": "NoSchedule"}]},
    "a device": {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]},
    "spot": {"tolerations": [{"key": "kubernetes.azure.com/scalesetpriority", "value": "spot"}]},
    "how long it waits on a lost node": {
        "tolerations": [
            {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}
        ]
    },
    "its own namespace": away(TERM),
    "its own namespace by name": away({**TERM, "namespaces": ["default"]}),
    "with others": away({**TERM, "namespaceSelector": {}}, "podAffinity"),
    "a preference": {
        "affinity": {
            "podAntiAffinity": {PREFERRED: [{"weight": 1, "podAffinityTerm": {**TERM, "namespaceSelector": {}}}]}
        }
    },
}  # fmt: skip


def said(folder, template: dict, environment: str = "") -> str:
    text = f"{AGENT}  podTemplate: {json.dumps(template)}\n" if template else AGENT
    write(folder, {"agents/a.yaml": text, "environments/prod.yaml": ENVIRONMENT + environment})
    return fleetform("validate", "--env", "prod", cwd=folder).err


@pytest.mark.parametrize("name", TAKES)
def test_what_takes_from_others_is_the_environments_to_say(name, tmp_path):
    template = TAKES[name]
    assert "that is not a spec's to say" in said(tmp_path, template) or (
        "the environment does not grant it" in said(tmp_path, template)
    )
    body = json.dumps({"podTemplate": template})
    patch = f"  patches: [{{target: {{kind: Agent}}, spec: {body}}}]\n"
    assert " error: " not in said(tmp_path, {}, patch)
    # What the environment says below a spec does not make the spec's own word the environment's.
    default = f"  defaults: {{Agent: {body}}}\n"
    assert " error: " not in said(tmp_path, {}, default)
    assert " error: " in said(tmp_path, template, default)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_only_its_own_matter_is_free(name, tmp_path):
    assert " error: " not in said(tmp_path, HARMLESS[name])


@pytest.mark.parametrize("value", [5, "x", [5], [{"namespaces": 7}], [{"topologyKey": "a", "namespaceSelector": 7}], {"a": 1}])  # fmt: skip
def test_what_has_no_form_is_a_problem_and_nothing_else(value, tmp_path):
    done = said(tmp_path, {"affinity": {"podAntiAffinity": {REQUIRED: value}}})
    assert " error: spec.podTemplate.affinity" in done


def test_a_class_is_granted_by_its_name(tmp_path):
    template = {"priorityClassName": "important"}
    assert " error: " not in said(tmp_path, template, "  priorityClasses: [low, important]\n")
    assert "granted: low" in said(tmp_path, template, "  priorityClasses: [low]\n")
