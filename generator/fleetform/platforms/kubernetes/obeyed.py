"""Labels and annotations that somebody in a cluster obeys: with them a pod would get more than its spec says.

The author of a spec may label and annotate at will, but not switch a mesh or an injector off, attach
a network, take a cloud identity or a profile. Those who own `environments/` may.
"""

from __future__ import annotations

from fleetform.records import NamedTuple


class Family(NamedTuple):
    """Who obeys the keys of some domains, and what they decide."""

    domains: tuple[str, ...]
    """Each stands for itself and for every domain below it."""
    decides: str


MESH = "whether a mesh encrypts and authorises the traffic"
FAMILIES = (
    Family(
        ("kubernetes.io", "k8s.io"),
        "profiles, load balancers, DNS names and placement",
    ),
    Family(("x-k8s.io", "openshift.io", "kubevirt.io", "crossplane.io"), "what its operator makes"),
    Family(
        (
            "cncf.io", "multus-cni.io", "cilium.io", "projectcalico.org", "tigera.io", "ovn.org", "antrea.io",
            "submariner.io", "kube-ovn.io", "metallb.io", "metallb.universe.tf", "tailscale.com", "weave.works",
            "kube-vip.io", "purelb.io", "kubesphere.io",
        ),
        "networks that no NetworkPolicy covers",
    ),
    Family(
        ("istio.io", "linkerd.io", "kuma.io", "solo.io", "openservicemesh.io", "dapr.io"),
        MESH,
    ),
    Family(
        (
            "hashicorp.com", "banzaicloud.com", "banzaicloud.io", "bank-vaults.dev", "1password.com", "onepassword.com", "doppler.com",
            "infisical.com", "akeyless.io", "external-secrets.io", "spiffe.io", "conjur.org", "cyberark.com",
        ),
        "which secrets a pod is given",
    ),
    Family(
        ("amazonaws.com", "azure.com", "azure.workload.identity", "gke.io", "google.com", "alibabacloud.com", "oraclecloud.com", "hetzner.cloud", "kube2iam.com"),
        "which cloud identity and which cloud resources it gets",
    ),
    Family(
        ("opentelemetry.io", "datadoghq.com", "dynatrace.com", "newrelic.com", "instana.io", "elastic.co", "jaegertracing.io", "coralogix.com"),
        "which containers are added, and where an agent on the node connects to",
    ),
    Family(
        ("traefik.io", "traefik.containo.us", "konghq.com", "getambassador.io", "projectcontour.io", "haproxy.org", "haproxy.com", "nginx.org", "nginx.com", "f5.com"),
        "who is routed where",
    ),
    Family(
        ("fluxcd.io", "argoproj.io", "argocd.io", "helm.sh", "keel.sh", "fleetform.dev"),
        "what is applied, kept and updated",
    ),
    Family(("keda.sh", "velero.io", "cert-manager.io", "k8up.io"), "what its operator does"),
    Family(("kyverno.io", "gatekeeper.sh", "kubewarden.io", "neuvector.com", "falco.org"), "which policies apply"),
    Family(("katacontainers.io", "crio.io", "containerd.io", "nvidia.com", "criu.org", "nri.io"), "how the container runtime runs it"),
)  # fmt: skip
BARE = (
    "io.kubernetes.", "io.katacontainers.", "io.podman.", "io.containerd.", "io.cilium.", "org.criu.", "run.oci.",
    "org.systemd.", "co.elastic.", "cpu-", "irq-load-balancing.", "module.wasm.", "com.github.containers.",
)  # fmt: skip
"""How the keys begin that a container runtime, or an agent on the node, reads; they have no slash."""
HARMLESS = frozenset(
    {
        "kubectl.kubernetes.io/default-container",
        "kubectl.kubernetes.io/default-logs-container",
        "kubectl.kubernetes.io/restartedAt",
        "kubernetes.io/change-cause",
        "kubernetes.io/description",
        "cluster-autoscaler.kubernetes.io/safe-to-evict",
        "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes",
        "controller.kubernetes.io/pod-deletion-cost",
    }
)
"""Keys of those domains that only say something of the pod itself."""


SYSTEM = "system-"
"""How the priority classes begin that Kubernetes has for what a cluster cannot be without."""


def decides(key: str) -> str:
    """Return what a key decides, empty for one that means nothing to a controller that is known here."""
    whole = key.lower()
    if key in HARMLESS:
        return ""
    domain, slash, name = whole.rpartition("/")
    if not slash and whole.startswith(BARE):
        return "how the container runtime, or an agent on the node, treats it"
    for family in FAMILIES:
        if any(domain == known or domain.endswith(f".{known}") for known in family.domains):
            return family.decides
    if "inject" in name or domain.endswith("-injector"):
        return "which containers are added"
    return ""
