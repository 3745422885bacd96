"""`kagent.dev/v1alpha1` as two teams wrote it: what each field becomes, and what is reported about it."""

from __future__ import annotations

from typing import Any

from fleetform.patterns import OWN_API
from fleetform.problems import Mark, Problem, Severity
from fleetform.tree import Map, Seq, TreePath, at, problem_at

API = "kagent.dev/v1alpha1"

LEVELS = {
    "trace": "debug",
    "debug": "debug",
    "info": "info",
    "warn": "warning",
    "warning": "warning",
    "error": "error",
    "critical": "error",
}
"""Levels of Python's logging, and what they are called here."""
_POLICY = {
    "ttl": "sessionTTL",
    "maxHistory": "maxConversationHistory",
    "maxSessions": "maxSessionsPerUser",
}


class _Rewrite:
    """One document being translated; trees are cloned where they change."""

    def __init__(self, tree: Map) -> None:
        self.original = tree
        self.tree = _clone(tree)
        self.problems: list[Problem] = []

    def say(
        self,
        path: TreePath,
        code: str,
        message: str,
        hint: str = "",
        severity: Severity = "note",
        *,
        key: bool = True,
    ) -> None:
        self.problems.append(
            problem_at(self.original, path, code, message, hint=hint, severity=severity, key=key)
        )


def translate(kind: str, tree: Map) -> tuple[Map | None, list[Problem]]:
    """Return the document in our schema (None: nothing to render) and its problems."""
    rewrite = _Rewrite(tree)
    rewrite.tree.put("apiVersion", OWN_API, tree.marks["apiVersion"])
    if kind == "WorkflowRun" and "spec" not in tree:
        rewrite.say(
            ("kind",),
            "status-only",
            "this WorkflowRun has only a status and no spec, and is ignored",
            "delete it, or give it a spec",
        )
        return None, rewrite.problems
    change = _KINDS.get(kind)
    if change is not None and isinstance(rewrite.tree.get("spec"), Map):
        change(rewrite, rewrite.tree["spec"])
    return rewrite.tree, rewrite.problems


def _clone(node: Any) -> Any:
    if isinstance(node, Map):
        copy = node.clone()
        for key, value in copy.items():
            copy[key] = _clone(value)
        return copy
    if isinstance(node, Seq):
        seq = Seq(node.mark)
        seq.extend(_clone(item) for item in node)
        seq.marks = list(node.marks)
        return seq
    return node


def _child(parent: Map, key: str, mark: Mark) -> Map:
    """Return the map under a key, created at `mark` if it is missing."""
    if not isinstance(parent.get(key), Map):
        parent.put(key, Map(mark), mark)
    child: Map = parent[key]
    return child


# -- Agent and AgentTemplate --------------------------------------------------------------------


def _agent(rewrite: _Rewrite, spec: Map) -> None:
    if "systemMessage" in spec and "systemPrompt" in spec:
        rewrite.say(
            ("spec", "systemMessage"),
            "said-twice",
            "`systemMessage` and `systemPrompt` are the same field",
            "keep one",
            "error",
        )
    spec.move("systemMessage", "systemPrompt")
    _canary(rewrite, spec)
    _app_label(rewrite)
    _tools(spec)
    _memory(rewrite, spec)
    _metrics(rewrite, spec)
    _triggers(rewrite, spec)
    if "container" not in spec:
        _environment(rewrite, spec)


def _canary(rewrite: _Rewrite, spec: Map) -> None:
    """Read an agent that is called like another one, and labelled as its canary, as that."""
    name = at(rewrite.tree, ("metadata", "name"))
    label = at(rewrite.tree, ("metadata", "labels", "version"))
    if label != "canary" or not isinstance(name, str) or "canaryOf" in spec:
        return
    stable = name.removesuffix("-canary")
    if stable != name:
        mark = rewrite.tree["metadata"]["labels"].marks["version"]
        spec.put("canaryOf", stable, mark)
        rewrite.say(
            ("metadata", "labels", "version"),
            "canary-label",
            f"read as `canaryOf: {stable}`, with `weight: 10`",
            "write both to say it yourself",
        )


def _app_label(rewrite: _Rewrite) -> None:
    labels = at(rewrite.tree, ("metadata", "labels"))
    if isinstance(labels, Map) and "app" in labels:
        name = at(rewrite.tree, ("metadata", "name"), "")
        if labels["app"] != name:
            rewrite.say(
                ("metadata", "labels", "app"),
                "app-label",
                f"the label `app: {labels['app']}` is dropped: pods are labelled `app: {name}` for selection",
                "use a label of another name, such as `team`",
            )
        del labels["app"], labels.marks["app"]


def _tools(spec: Map) -> None:
    tools = spec.get("tools")
    if not isinstance(tools, Seq):
        return
    for number, item in enumerate(tools):
        if isinstance(item, str):
            entry = Map(tools.marks[number])
            entry.put("name", item, tools.marks[number])
            tools[number] = entry


def _memory(rewrite: _Rewrite, spec: Map) -> None:
    memory = spec.get("memory")
    if not isinstance(memory, Map):
        return
    kind = memory.get("type")
    config = memory.pop("config", None)
    mark = memory.marks.pop("config", memory.mark)
    if isinstance(config, Map) and isinstance(kind, str):
        for key, value in config.items():
            parent = (
                _child(memory, "policy", mark) if key in _POLICY else _child(memory, kind, mark)
            )
            parent.put(_POLICY.get(key, key), value, config.marks[key])
    secret = memory.get("secretRef")
    if isinstance(secret, Map) and isinstance(kind, str):
        mark = memory.marks.pop("secretRef")
        del memory["secretRef"]
        store = _child(memory, kind, mark)
        if kind == "postgres":
            store.put("passwordSecretRef", secret, mark)
        else:
            _child(store, "auth", mark).put("secretRef", secret, mark)
    _redis_auth(memory)


def _metrics(rewrite: _Rewrite, spec: Map) -> None:
    metrics = at(spec, ("scaling", "metrics"))
    if not isinstance(metrics, Seq):
        return
    for number, metric in enumerate(metrics):
        if not isinstance(metric, Map):
            continue
        kind = metric.get("type")
        if kind in ("cpu", "memory"):
            mark = metric.marks["type"]
            resource = Map(mark)
            resource.put("name", kind, mark)
            if "target" in metric:
                resource.put("target", metric.pop("target"), metric.marks.pop("target"))
            metric.put("type", "Resource", mark)
            metric.put("resource", resource, mark)
        if at(metric, ("pods", "metric", "name")) == "agent_requests_per_second":
            rewrite.say(
                ("spec", "scaling", "metrics", number),
                "metric-not-exported",
                "no component exports the metric `agent_requests_per_second`",
                "add a prometheus-adapter rule: sum(rate(agent_request_total[2m])) by (namespace, pod)",
            )


def _triggers(rewrite: _Rewrite, spec: Map) -> None:
    triggers = at(spec, ("scaling", "keda", "triggers"))
    if not isinstance(triggers, Seq):
        return
    for number, trigger in enumerate(triggers):
        metadata = trigger.get("metadata") if isinstance(trigger, Map) else None
        if isinstance(metadata, Map) and "metricName" in metadata:
            del metadata["metricName"], metadata.marks["metricName"]
            rewrite.say(
                ("spec", "scaling", "keda", "triggers", number, "metadata", "metricName"),
                "dead-field",
                "KEDA has ignored `metricName` since 2.12: it is dropped",
                "remove it",
            )


# -- environment variables that become settings of the runtime ----------------------------------


def _environment(rewrite: _Rewrite, spec: Map) -> None:
    variables = spec.get("env")
    if not isinstance(variables, Seq):
        return
    kept = Seq(variables.mark)
    for number, (item, mark) in enumerate(zip(variables, variables.marks, strict=True)):
        if not (
            isinstance(item, Map) and _take_variable(rewrite, spec, item, ("spec", "env", number))
        ):
            kept.add(item, mark)
    if len(kept) == len(variables):
        return
    if kept:
        spec.put("env", kept, spec.marks["env"])
    else:
        del spec["env"], spec.marks["env"]


def _take_variable(rewrite: _Rewrite, spec: Map, item: Map, path: TreePath) -> bool:
    """Move one known variable into the settings; return False if it is not a known one."""
    name, value = item.get("name"), item.get("value")
    mark = item.marks.get("value") or item.marks.get("valueFrom") or item.mark
    secret = at(item, ("valueFrom", "secretKeyRef"))
    target: tuple[str, str] | None = None
    put: Any = value
    if name == "LOG_LEVEL" and isinstance(value, str):
        target, put = ("logging", "level"), LEVELS.get(value.lower(), value)
    elif name == "LANGFUSE_ENABLED" and isinstance(value, str):
        target, put = ("tracing", "enabled"), value.lower() in ("true", "1")
    elif name == "LANGFUSE_HOST" and isinstance(value, str):
        target = ("tracing", "endpoint")
    elif name in ("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY") and isinstance(secret, Map):
        target = ("tracing", "publicKeySecretRef" if "PUBLIC" in name else "secretKeySecretRef")
        put = secret
    if target is None:
        return False
    section = _child(_child(spec, "observability", mark), target[0], mark)
    section.put(target[1], put, mark)
    if target[0] == "tracing" and "provider" not in section:
        section.put("provider", "langfuse", mark)
    rewrite.say(
        (*path, "name"),
        "env-translated",
        f"`{name}` becomes `observability.{'.'.join(target)}`: the runtime is configured by agent.json, not by variables",
        "`fleetform migrate` rewrites it that way",
        key=False,
    )
    return True


# -- the other kinds ----------------------------------------------------------------------------


def _model_config(rewrite: _Rewrite, spec: Map) -> None:
    if isinstance(spec.get("model"), str):
        spec.move("model", "name")


def _memory_store(rewrite: _Rewrite, spec: Map) -> None:
    _redis_auth(spec)


def _redis_auth(store: Map) -> None:
    secret = at(store, ("redis", "auth", "secretRef"))
    if isinstance(secret, Map):
        secret.move("passwordKey", "key")


# -- Environment --------------------------------------------------------------------------------


def _environment_kind(rewrite: _Rewrite, spec: Map) -> None:
    """Read the providers of a chart's values: a Secret, and the environment variable that is its key."""
    providers = spec.get("providers")
    for name, provider in providers.items() if isinstance(providers, Map) else ():
        if not isinstance(provider, Map) or "existingSecret" not in provider:
            continue
        mark = provider.marks["existingSecret"]
        secret = Map(mark)
        secret.put("name", provider.pop("existingSecret"), provider.marks.pop("existingSecret"))
        key = provider.pop("existingSecretKey", f"{name.upper()}_API_KEY")
        secret.put("key", key, provider.marks.pop("existingSecretKey", mark))
        provider.put("apiKeySecretRef", secret, mark)


_KINDS = {
    "Agent": _agent,
    "AgentTemplate": _agent,
    "ModelConfig": _model_config,
    "MemoryStore": _memory_store,
    "Environment": _environment_kind,
}
