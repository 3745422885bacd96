"""Where modules are tested that no test file is named after.

A module is called by its name, or by as much of the end of its path as tells it from others: moving a package
changes nothing here. tests/house/test_every_module_is_tested.py holds the map complete.
"""

PACKAGES = {"generator/fleetform": "tests", "runtime/fleetform_runtime": "runtime/tests"}
"""The packages, and the folder of each one's tests."""

_TESTED_BY: dict[str, dict[str, str]] = {
    "tests": {
        "tests/hostile/test_quantities.py": "patterns quantity durations resources",
        "tests/hostile/test_references.py": "graphs regexes json_schemas urls pointers",
        "tests/hostile/test_secrets.py": "leaks credentials credential_names",
        "tests/hostile/test_names.py": "metadata",
        "tests/hostile/test_templates.py": "plan/settings characters",
        "tests/hostile/test_yaml.py": "reader",
        "tests/integration/test_backups.py": "plan/backups plan/dumps resolve/backups kubernetes/restore cli/restore",
        "tests/integration/test_commands.py": "__main__ cli/__init__",
        "tests/integration/test_imports.py": "jsonschemas pyyaml",
        "tests/integration/test_stdio.py": "plan/beside",
        "tests/unit/test_alerts.py": "alerting",
        "tests/unit/test_dashboards.py": "objects/dashboard",
        "tests/unit/test_fleet_page.py": "resolve/pages plan/pages fleetform/rules/pages idle/pages",
        "tests/unit/test_canaries.py": "resolve/canaries fleetform/rules/canaries",
        "tests/unit/test_rollouts.py": "objects/rollout bind/canary kubernetes/rules/canaries models/delivery",
        "tests/unit/test_iam.py": "kubernetes/iam kubernetes/adapter",
        "tests/integration/test_rollback.py": "releases/lock holds releases/history cli/rollback",
        "tests/integration/test_pin.py": "registries cli/pin",
        "tests/integration/test_laptop.py": "cli/chat cli/run cli/conversation cli/trust",
        "tests/parity/test_fields.py": "kubernetes/model bind/__init__ bind/workload bind/pods targets/values podfields lens objects/defaultdeny",
        "tests/conformance/test_refused.py": "objects/refused",
        "tests/conformance/test_scheduling.py": "kubernetes/scheduling rules/scheduling",
        "tests/parity/test_flux.py": "targets/manifests",
        "tests/parity/test_kustomize.py": "targets/transformers kubernetes/build",
        "tests/parity/test_patches.py": "targets/lenses",
        "tests/policy/test_openings.py": "openings",
        "tests/policy/test_command.py": "cli/policy policies admission",
        "tests/property/test_views.py": "fleetform/kinds",
        "tests/unit/test_agent_json.py": (
            "rules/variants plan/__init__ pipeline draft plan/stores plan/model plan/present bind/config resolve/memories"
        ),
        "tests/unit/test_at_once.py": "mend",
        "tests/house/test_recipes.py": "kubernetes/kinds fleetform/targets fleetform/contract",
        "tests/unit/test_compose.py": (
            "compose/build compose/containers compose/model compose/networks compose/rules compose/services "
            "compose/secrets local_values fleetform/files"
        ),
        "tests/served/test_turns.py": (
            "idle/__init__ idle/agents idle/documents idle/environments idle/models idle/shares idle/fields idle/rows idle/servers "
            "idle/stores idle/tools idle/variables idle/workloads idle/delivery"
        ),
        "tests/served/test_meaning.py": "switches",
        "tests/integration/test_usage.py": "cli/tables",
        "tests/unit/test_bad_input.py": "check cli/validate",
        "tests/unit/test_commands.py": "cli/list cli/options cli/diff cli/schema cli/report cli/progress cli/application",
        "tests/unit/test_pod_fields.py": "objects/counted rules/probes resolve/probes",
        "tests/unit/test_errors.py": (
            "problems dialects/foreign rules/model_keys fleetform/rules/__init__ rules/grace waits regions sharing kubernetes/rules/__init__ rules/agents kubernetes/rules/environments rules/pods rules/rbac rules/stores rules/keys obeyed rules/routes rules/extras extra_bodies bind/quotas rules/tenants rules/sizes rules/passed "
            "rules/volumes rules/workflows rules/expressions rules/memories rules/embeddings rules/backups rules/schedules rules/monitoring"
        ),
        "tests/unit/test_gitops.py": "argocd",
        "tests/golden/test_golden.py": "outline plan/images plan/workloads bind/namespaces",
        "tests/unit/test_init.py": "scaffold/__init__",
        "tests/unit/test_live_connection.py": "live/api",
        "tests/unit/test_live_changes.py": "live/changes live/gc cli/plan cli/gc",
        "tests/unit/test_load.py": "parse tree",
        "tests/unit/test_merge.py": "resolve/__init__ resolve/resolved repeated catalog resolve/environment layers",
        "tests/unit/test_migrate.py": "migrate/files origins syntax writer",
        "tests/policy/test_network.py": "exposure plan/traffic resolve/ports",
        "tests/unit/test_object_patches.py": "objects/manifest objects/changes judged operations kubernetes/schemas kubernetes/annotations",
        "tests/policy/test_objects.py": (
            "certificate configmap deployment externalsecret horizontalpodautoscaler httproute ingress objects/job cronjob "
            "plan/containers kubernetes/containers limitrange objects/namespace networkpolicy persistentvolumeclaim objects/pod "
            "poddisruptionbudget prometheusrule resourcequota role scaledobject objects/service serviceaccount tenantrole "
            "servicemonitor statefulset"
        ),
        "tests/integration/test_secrets.py": "bind/secrets bind/stores identities kubernetes/rules/secrets provided secretstore",
        "tests/unit/test_filters.py": "resolve/searches",
        "tests/unit/test_workflows.py": "plan/workflows resolve/flows",
        "tests/unit/test_argo_workflows.py": "plan/order rules/argo",
        "tests/integration/test_workflow_command.py": "cli/workflow",
        "tests/unit/test_drawing.py": "cli/graph",
        "tests/unit/test_knowledge.py": "plan/knowledge rules/knowledge fleetform/cron",
        "tests/unit/test_seeds.py": "dialects/__init__ kagent",
        "tests/unit/test_view.py": (
            "models/__init__ models/agent models/base models/environment export mcp_server memory_store "
            "model_config observability models/objectives models/tool models/workflow models/workload models/service"
        ),
        "tests/unit/test_write.py": "folder cli/render rendering",
    },
    "runtime/tests": {
        "runtime/tests/test_net.py": "net/build net/client credentials net/library net/pauses proxies shared texts tokens",
        "runtime/tests/test_collections.py": "knowledge/pgvector knowledge/qdrant knowledge/milvus knowledge/wholeness",
        "runtime/tests/test_knowledge.py": (
            "knowledge/__init__ knowledge/words knowledge/chunks knowledge/readers knowledge/embedded knowledge/search "
            "knowledge/embeddings knowledge/build knowledge/ingest knowledge/command sections/knowledge tools/retrieval"
        ),
        "runtime/tests/test_workflow_stores.py": (
            "workflows/store/__init__ workflows/store/build workflows/store/sql workflows/store/sqlite "
            "workflows/store/postgres workflows/store/redis postgres/tables"
        ),
        "runtime/tests/test_workflow_runs.py": "workflows/execution workflows/records workflows/worker",
        "runtime/tests/test_workflows.py": (
            "workflows/__init__ workflows/api workflows/application workflows/calls workflows/command "
            "workflows/counting workflows/notice"
        ),
        "runtime/tests/test_workflow_traces.py": "workflows/spans",
        "runtime/tests/unit/test_workflow_settings.py": (
            "workflows/asking workflows/expressions workflows/settings workflows/submitting"
        ),
        "runtime/tests/test_sandbox.py": "code/inside",
        "runtime/tests/test_code.py": "code/__init__ code/jail code/runner tools/code",
        "runtime/tests/test_monty.py": "code/engines code/monty",
        "runtime/tests/test_foreign_embeddings.py": "knowledge/foreign",
        "runtime/tests/test_no_memory.py": "store/nothing",
        "runtime/tests/test_access.py": "gate identity oidc quotas redis_counters access/shares",
        "runtime/tests/test_a2a.py": (
            "a2a/__init__ http/a2a a2a/bindings a2a/card a2a/dialects a2a/errors a2a/names a2a/parts a2a/requests "
            "a2a/service a2a/tasks a2a/updates"
        ),
        "runtime/tests/test_a2a_people.py": "a2a/people",
        "runtime/tests/test_a2a_peers.py": "a2a/answers a2a/peer a2a/waiting",
        "runtime/tests/test_content.py": "http/content",
        "runtime/tests/test_cli.py": "__main__ start check connect secrets",
        "runtime/tests/test_docs.py": "reference openapi",
        "runtime/tests/test_backends.py": (
            "fleetform_runtime/store/build store/parts measured upkeep redis/__init__ redis/backend postgres/__init__ postgres/backend "
            "store/local"
        ),
        "runtime/tests/test_conversations.py": (
            "fleetform_runtime/store/__init__ store/memory redis/conversations postgres/conversations statements"
        ),
        "runtime/tests/test_failover.py": "redis/client postgres/client",
        "runtime/tests/test_filesystem.py": "filesystem/__init__ filesystem/backend filesystem/conversations files",
        "runtime/tests/test_image.py": "probe",
        "runtime/tests/test_kept_runs.py": "filesystem/runs redis/runs postgres/runs filesystem/pauses redis/pauses postgres/pauses",
        "runtime/tests/test_mcp.py": "duplex jsons pipes mcp/http mcp/protocol mcp/server",
        "runtime/tests/test_memories.py": "filesystem/memories redis/memories postgres/memories",
        "runtime/tests/test_forget.py": "memories/command runs/erasing filesystem/errands",
        "runtime/tests/test_remembering.py": (
            "memories/build memories/learning memories/remembering http/memories tools/memories long_term"
        ),
        "runtime/tests/test_user_memories.py": "memories/notes memories/ranking memories/service memories/vectors",
        "runtime/tests/test_models.py": (
            "models/build models/libraries chat_completions models/failures pricing scripted stream upstream wire sections/model"
        ),
        "runtime/tests/test_server.py": (
            "access/build access/hosts fleetform_runtime/application http/answering http/body http/chat http/errors http/events http/gateway http/health http/info "
            "http/mounting http/protocol http/router http/runs surface problems runs/live runs/log registry "
            "runs/service"
        ),
        "runtime/tests/test_sessions.py": "messages runs/calls decisions loop outcomes runs/pending turn",
        "runtime/tests/test_structured.py": "structured",
        "runtime/tests/test_page.py": "http/ui",
        "runtime/tests/test_fleet.py": "fleet/settings fleet/application fleet/command fleetform_runtime/front",
        "runtime/tests/test_compacting.py": "summaries",
        "runtime/tests/test_variants.py": "telemetry/variant",
        "runtime/tests/test_telemetry.py": "telemetry/build telemetry/content export logs otlp traces",
        "runtime/tests/test_tools.py": (
            "addresses net/again tools/failures tools/api tools/build tools/people tools/schema toolbox"
        ),
        "runtime/tests/unit/test_history.py": "models/history",
        "runtime/tests/unit/test_schemas.py": "mcp/schemas",
        "runtime/tests/unit/test_sizes.py": "sizes fitting",
        "runtime/tests/test_streams.py": "lines",
        "runtime/tests/unit/test_settings.py": (
            "fleetform_runtime/schema fleetform_runtime/contract places sections/base sections/memory sections/serving"
        ),
    },
}


def _turned(tested_by: dict[str, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for test, modules in tested_by.items():
        for module in modules.split():
            found[module] = (*found.get(module, ()), test)
    return found


ELSEWHERE = {own: _turned(tested_by) for own, tested_by in _TESTED_BY.items()}
"""For each folder of tests: a module's name and the files that test it."""
