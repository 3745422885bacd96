"""What an environment says about Flux and Argo CD, and the objects that follow from it."""

import yaml

from tests.fleet import AGENT, API, ENVIRONMENT, GOOD, fleetform, write

FLUX = ENVIRONMENT + "  targets: [manifests, flux]\n"
ARGOCD = ENVIRONMENT + "  targets: [manifests, argocd]\n"


def render(folder, environment, file):
    """Return the objects of a file that an environment makes."""
    done = fleetform("render", cwd=write(folder, {**GOOD, "environments/prod.yaml": environment}))
    assert (done.code, done.out) == (0, ""), done.err
    return [*yaml.load_all((folder / file).read_text("utf-8"), Loader=yaml.CSafeLoader)]


def kustomizations(folder, more=""):
    return render(folder, FLUX + more, "flux/prod/kustomizations.yaml")


def applications(folder, more):
    gitops = f"  gitops:\n    tool: argocd\n    source: {{url: https://git.example.com/a}}\n{more}"
    return render(folder, ARGOCD + gitops, "argocd/prod/applications.yaml")


def test_without_namespaces_of_ours_nothing_waits_for_them(tmp_path):
    (only,) = kustomizations(tmp_path)
    assert only["metadata"]["name"] == "prod.default"
    assert "dependsOn" not in only["spec"]
    (only,) = applications(tmp_path, "")
    assert only["spec"]["source"]["path"] == "rendered/prod/default"


def test_paths_start_where_the_output_is_in_the_repository(tmp_path):
    more = "  gitops: {path: clusters/west, way: helm}\n"
    (only,) = kustomizations(tmp_path, more)
    assert only["spec"]["path"] == "./clusters/west/flux/prod/releases/default"
    (release,) = render(tmp_path, FLUX + more, "flux/prod/releases/default/helper.yaml")
    assert release["spec"]["chart"]["spec"]["chart"] == "./clusters/west/charts/agent"
    (only,) = applications(tmp_path, "    path: clusters/west\n")
    assert only["spec"]["source"]["path"] == "clusters/west/rendered/prod/default"


def test_patience_is_what_the_environment_says(tmp_path):
    more = "  gitops: {interval: 1h, retryInterval: 30s, timeout: 3m}\n"
    (only,) = kustomizations(tmp_path, more)
    spec = only["spec"]
    assert (spec["interval"], spec["retryInterval"], spec["timeout"]) == ("1h", "30s", "3m")


def test_an_existing_source_is_not_rendered_and_a_new_one_is(tmp_path):
    kustomizations(tmp_path)
    assert not (tmp_path / "flux/prod/sources.yaml").exists()
    more = (
        "  gitops: {namespace: delivery, source: {name: fleet, url: https://git.example.com/a}}\n"
    )
    (source,) = render(tmp_path, FLUX + more, "flux/prod/sources.yaml")
    assert source["kind"] == "GitRepository"
    assert source["metadata"]["namespace"] == "delivery"
    assert source["spec"]["ref"] == {"branch": "main"}


def test_charts_are_pinned_by_digest_else_by_version(tmp_path):
    digest = f"sha256:{'c' * 64}"
    more = f"""\
  helm: {{charts: oci://registry.example.com/c, version: 1.2.3, digests: {{agent: "{digest}"}}}}
  gitops: {{way: helm}}
"""
    sources = render(tmp_path, FLUX + more, "flux/prod/sources.yaml")
    refs = {item["spec"]["url"]: item["spec"]["ref"] for item in sources}
    assert refs == {
        "oci://registry.example.com/c/agent": {"digest": digest},
        "oci://registry.example.com/c/namespace": {"tag": "1.2.3"},
    }
    (release,) = render(tmp_path, FLUX + more, "flux/prod/releases/default/helper.yaml")
    assert release["spec"]["chartRef"]["name"] in {item["metadata"]["name"] for item in sources}


def test_names_of_any_length_fit_into_labels(tmp_path):
    long = AGENT.replace("name: helper", f"name: helper, namespace: {'n' * 63}")
    write(tmp_path, {"agents/a.yaml": long, "environments/prod.yaml": FLUX})
    assert fleetform("render", cwd=tmp_path).code == 0
    (only,) = yaml.load_all(
        (tmp_path / "flux/prod/kustomizations.yaml").read_text("utf-8"), Loader=yaml.CSafeLoader
    )
    assert len(only["metadata"]["name"]) <= 63
    assert only["spec"]["path"] == f"./rendered/prod/{'n' * 63}"


def test_what_no_release_can_hold_is_said_before_flux_installs_it(tmp_path):
    long = AGENT.replace("name: helper", f"name: {'a' * 60}")
    more = FLUX + "  gitops: {way: helm}\n"
    write(tmp_path, {"agents/a.yaml": long, "environments/prod.yaml": more})
    done = fleetform("render", cwd=tmp_path)
    assert done.code == 1
    assert "the name of a Helm release at most 53" in done.err
    assert not (tmp_path / "flux").exists()


def test_an_existing_project_is_used_and_not_rendered(tmp_path):
    (only,) = applications(tmp_path, "    argocd: {project: agents, server: https://10.0.0.1}\n")
    assert only["spec"]["project"] == "agents"
    assert only["spec"]["destination"] == {"server": "https://10.0.0.1", "namespace": "default"}
    assert not (tmp_path / "argocd/prod/project.yaml").exists()


def test_the_revision_is_a_tag_else_a_branch_else_the_head(tmp_path):
    revisions = []
    for more in ("", "branch: release, ", "branch: release, tag: v1, "):
        gitops = f"  gitops: {{tool: argocd, source: {{{more}url: https://git.example.com/a}}}}\n"
        (only,) = render(tmp_path, ARGOCD + gitops, "argocd/prod/applications.yaml")
        revisions.append(only["spec"]["source"]["targetRevision"])
    assert revisions == ["HEAD", "release", "v1"]


def test_what_is_never_pruned_is_not_deleted_with_its_application_either(tmp_path):
    applications(tmp_path, "")
    objects = [
        *yaml.load_all(
            (tmp_path / "rendered/prod/default/helper.yaml").read_text("utf-8"),
            Loader=yaml.CSafeLoader,
        )
    ]
    (config,) = [item for item in objects if item["kind"] == "ConfigMap"]
    options = config["metadata"]["annotations"]["argocd.argoproj.io/sync-options"]
    assert options == "Delete=false,Prune=false"


MERGE_KEY = f"""{API}
kind: Tool
metadata: {{name: search}}
spec:
  type: api
  description: Searches.
  api: {{endpoint: "https://api.example/search", method: POST}}
  parameters: [{{name: filter, type: object, description: What., properties: {{"<<": {{type: string}}}}}}]
"""


def test_a_key_that_flux_would_lose_in_values_is_said_before(tmp_path):
    user = AGENT + "  tools: [{name: search}]\n---\n" + MERGE_KEY
    write(tmp_path, {"agents/a.yaml": user, "environments/prod.yaml": FLUX})
    assert fleetform("render", cwd=tmp_path).code == 0
    write(tmp_path, {"environments/prod.yaml": FLUX + "  gitops: {way: helm}\n"})
    done = fleetform("render", cwd=tmp_path)
    assert done.code == 1
    assert "agents/a.yaml:3:12: error: metadata.name: a key `<<` would be lost" in done.err


GATED = """\
  capabilities: [gateway-api]
  expose: {host: a.example, gateway: {name: public, namespace: gateways}}
"""
ROUTED = AGENT.replace(
    "auth: {type: none}",
    "expose: {}\n  auth: {type: apiKey, apiKey: {keys: [{name: k, secretRef: {name: a, key: k}}]}}",
)


def test_custom_resources_are_waited_for_where_there_are_some(tmp_path):
    assert "healthCheckExprs" not in kustomizations(tmp_path)[0]["spec"]
    write(tmp_path, {"agents/a.yaml": ROUTED})
    for way, file in (
        ("manifests", "kustomizations.yaml"),
        ("helm", "releases/default/helper.yaml"),
    ):
        environment = f"{FLUX}{GATED}  gitops: {{way: {way}}}\n"
        write(tmp_path, {"environments/prod.yaml": environment})
        assert fleetform("render", cwd=tmp_path).code == 0
        (only,) = yaml.load_all(
            (tmp_path / "flux/prod" / file).read_text("utf-8"), Loader=yaml.CSafeLoader
        )
        (check,) = only["spec"]["healthCheckExprs"]
        assert check["kind"] == "HTTPRoute"
        assert "Accepted" in check["current"]
        assert ("waitStrategy" in only["spec"]) == (way == "helm")
