"""Which permissions are dangerous: by what they reach, so whatever is not known to be harmless."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetform.platforms.kubernetes import rights
from fleetform.platforms.kubernetes.kinds import KINDS

WRITES = sorted(set(rights.VERBS) - rights.READS)
FENCE = {
    "networking.k8s.io": "networkpolicies ingresses",
    "policy.networking.k8s.io": "adminnetworkpolicies baselineadminnetworkpolicies clusternetworkpolicies",
    "cilium.io": "ciliumnetworkpolicies ciliumclusterwidenetworkpolicies",
    "crd.projectcalico.org": "networkpolicies globalnetworkpolicies",
    "external-secrets.io": "externalsecrets secretstores clustersecretstores pushsecrets",
    "helm.toolkit.fluxcd.io": "helmreleases",
    "kustomize.toolkit.fluxcd.io": "kustomizations",
    "source.toolkit.fluxcd.io": "gitrepositories ocirepositories",
    "argoproj.io": "applications appprojects workflows cronworkflows rollouts",
    "tekton.dev": "taskruns pipelineruns",
    "keda.sh": "scaledjobs scaledobjects triggerauthentications",
    "apiextensions.k8s.io": "customresourcedefinitions",
    "apiregistration.k8s.io": "apiservices",
    "admissionregistration.k8s.io": (
        "validatingadmissionpolicies validatingadmissionpolicybindings mutatingadmissionpolicies "
        "mutatingadmissionpolicybindings validatingwebhookconfigurations mutatingwebhookconfigurations"
    ),
    "discovery.k8s.io": "endpointslices",
    "": (
        "services endpoints nodes nodes/status pods pods/exec pods/attach pods/ephemeralcontainers pods/portforward "
        "pods/eviction pods/binding pods/resize bindings podtemplates replicationcontrollers serviceaccounts "
        "serviceaccounts/token configmaps secrets persistentvolumes persistentvolumeclaims namespaces "
        "namespaces/finalize resourcequotas limitranges services/status"
    ),
    "apps": "deployments deployments/scale replicasets statefulsets daemonsets controllerrevisions",
    "batch": "jobs cronjobs",
    "autoscaling": "horizontalpodautoscalers",
    "policy": "poddisruptionbudgets",
    "certificates.k8s.io": "signers certificatesigningrequests certificatesigningrequests/approval",
    "rbac.authorization.k8s.io": "roles rolebindings clusterroles clusterrolebindings",
    "authentication.k8s.io": "tokenreviews",
    "authorization.k8s.io": "subjectaccessreviews localsubjectaccessreviews",
    "gateway.networking.k8s.io": "httproutes gateways referencegrants",
    "serving.knative.dev": "services",
    "acme.example": "widgets",
    "events.example": "events",
}
ROWS = [(group, name) for group, names in FENCE.items() for name in names.split()]


def dangers(group, name, verbs, *, cluster):
    rule = {"apiGroups": [group], "resources": [name], "verbs": verbs}
    return [found for _, found in rights.dangers(rule, cluster=cluster)]


@pytest.mark.parametrize("cluster", [False, True])
@pytest.mark.parametrize(("group", "name"), ROWS)
def test_every_write_that_opens_the_fence_is_dangerous(group, name, cluster):
    for verb in WRITES:
        assert dangers(group, name, [verb], cluster=cluster), verb
        assert dangers(group, name, ["get", verb], cluster=cluster), verb


@pytest.mark.parametrize(
    ("group", "name"),
    [
        *[("", f"{part}") for part in ("secrets", "secrets/x", "serviceaccounts/token")],
        *[
            ("", f"pods/{part}")
            for part in ("exec", "attach", "portforward", "proxy", "ephemeralcontainers")
        ],
        *[
            ("", f"nodes/{part}")
            for part in ("log", "proxy", "pods", "metrics", "stats", "configz", "checkpoint")
        ],
        ("", "services/proxy"),
        ("apps", "deployments/unheard"),
        ("subresources.kubevirt.io", "virtualmachineinstances/console"),
        ("oauth.openshift.io", "oauthaccesstokens"),
        ("acme.example", "vaultcredentials"),
    ],
)
@pytest.mark.parametrize("verb", sorted(rights.READS))
def test_a_read_that_gives_away_secrets_or_leads_into_pods_is_dangerous(group, name, verb):
    assert dangers(group, name, [verb], cluster=False) == [name]


@pytest.mark.parametrize(
    ("group", "name", "verbs", "cluster"),
    [
        ("", "pods", [*rights.READS], False),
        ("", "pods/log", ["get"], False),
        ("", "configmaps", ["get"], False),
        ("acme.example", "widgets", ["list"], False),
        ("external-secrets.io", "externalsecrets", ["get", "list"], False),
        ("", "nodes", ["list"], True),
        ("", "nodes/status", ["get"], True),
        ("", "namespaces", ["list", "watch"], True),
        ("metrics.k8s.io", "pods", ["list"], True),
        ("apps", "deployments/scale", ["get"], True),
        ("", "events", ["create", "patch", "get"], True),
        ("events.k8s.io", "events", ["create"], True),
        ("authorization.k8s.io", "selfsubjectaccessreviews", ["create"], True),
        ("coordination.k8s.io", "leases", ["get", "create", "update"], False),
    ],
)
def test_what_is_known_to_be_harmless_needs_no_confirmation(group, name, verbs, cluster):
    assert dangers(group, name, verbs, cluster=cluster) == []


OTHERS = {
    "": "configmaps pods pods/log pods/status podtemplates replicationcontrollers serviceaccounts",
    "apps": "deployments daemonsets statefulsets replicasets controllerrevisions deployments/status",
    "batch": "jobs cronjobs",
    "argoproj.io": "applications workflows rollouts",
    "serving.knative.dev": "services",
    "external-secrets.io": "externalsecrets",
    "rbac.authorization.k8s.io": "roles clusterrolebindings",
    "acme.example": "widgets",
    "metrics.example": "pods",
}


@pytest.mark.parametrize("verb", sorted(rights.READS))
@pytest.mark.parametrize(
    ("group", "name"), [(group, name) for group, names in OTHERS.items() for name in names.split()]
)
def test_what_holds_the_data_of_others_is_dangerous_to_read_in_the_whole_cluster(group, name, verb):
    assert dangers(group, name, [verb], cluster=True) == [name]
    assert dangers(group, name, [verb], cluster=False) == []
    rule = {"apiGroups": [group], "resources": [name], "verbs": [verb]}
    assert rights.is_of_others(rule, name)


def test_a_lease_is_only_harmless_in_its_namespace():
    assert dangers("coordination.k8s.io", "leases", ["update"], cluster=True) == ["leases"]
    assert dangers("coordination.k8s.io", "leases", ["delete"], cluster=False) == ["leases"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
@pytest.mark.parametrize("verb", WRITES)
def test_no_kind_that_is_rendered_can_be_written_without_a_word(kind, verb):
    assert dangers(kind.group, kind.resource, [verb], cluster=False)


@given(
    st.lists(st.sampled_from([*FENCE, "events.k8s.io"]), min_size=1, max_size=3),
    st.lists(st.sampled_from([name for _, name in ROWS] + ["events"]), min_size=1, max_size=3),
    st.lists(st.sampled_from(rights.VERBS), min_size=1, max_size=4),
    st.booleans(),
)
def test_a_rule_is_as_dangerous_as_its_most_dangerous_combination(groups, names, verbs, cluster):
    rule = {"apiGroups": groups, "resources": names, "verbs": verbs}
    whole = {found for _, found in rights.dangers(rule, cluster=cluster)}
    single = {
        found
        for group in groups
        for name in names
        for verb in verbs
        for found in dangers(group, name, [verb], cluster=cluster)
    }
    assert whole == single


@pytest.mark.parametrize("verb", sorted(rights.DANGEROUS_VERBS))
def test_a_verb_that_is_dangerous_is_confirmed_by_its_own_name(verb):
    assert dangers("acme.example", "widgets", [verb], cluster=False) == [verb]
