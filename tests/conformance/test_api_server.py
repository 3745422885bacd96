"""All committed output is taken by Kubernetes' own code as it is: nothing refused, nothing to add, nothing to warn of."""

import pytest

from tests.golden.cases import CASES
from tests.tools import ROOT

from . import apiserver, rendered

pytestmark = pytest.mark.proof

TREES = sorted(
    path
    for path in (
        *ROOT.glob("rendered/*"),
        *ROOT.glob("kustomize/base"),
        *ROOT.glob("kustomize/overlays/*"),
        *ROOT.glob("flux/*"),
        *(case / name for case in CASES for name in ("expected", "delivered")),
    )
    # Those of Argo Workflows have definitions of their own: test_argo.py.
    if path.is_dir() and not (path / "argo-workflows").is_dir()
)


@pytest.mark.parametrize("tree", TREES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_an_api_server_takes_every_object_and_adds_nothing(tree):
    files = rendered.object_files(tree)
    found = rendered.objects(files)
    verdicts = apiserver.judge_objects(found)
    assert apiserver.unexpected(verdicts) == []
    assert [item.name for item in verdicts] == [item["metadata"]["name"] for item in found]


def said(text: str) -> list[str]:
    return [*apiserver.complaints(apiserver.judge(text))]


CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: a}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: SIZE}}}
"""
ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route, namespace: a}
spec:
  parentRefs: [{name: g}]
  rules: [{matches: [{path: {type: PathPrefix, value: PATH}}]}]
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: s, namespace: a}
spec: {clusterIP: None, ports: [{name: a, port: 1}, {name: b, port: PORT}]}
"""


def test_what_go_code_alone_refuses_is_refused():
    assert said(CLAIM.replace("SIZE", "1Gi")) == []
    (line,) = said(CLAIM.replace("SIZE", '"0"'))
    assert "must be greater than zero" in line


def test_what_a_definitions_rules_refuse_is_refused_and_defaults_are_named():
    good, bad = said(ROUTE.replace("PATH", "/a")), said(ROUTE.replace("PATH", "/a//b"))
    assert 'HTTPRoute route: default not written: spec.parentRefs[0].kind: "Gateway"' in good
    assert [line for line in bad if line not in good] == [
        "HTTPRoute route: spec.rules[0].matches[0].path: Invalid value: must not contain '//' when type one of ['Exact', 'PathPrefix']"
    ]


def test_what_a_server_side_apply_refuses_is_refused():
    assert said(SERVICE.replace("PORT", "2")) == []
    assert any("duplicate entries for key" in line for line in said(SERVICE.replace("PORT", "1")))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{apiVersion: v1, kind: Nothing, metadata: {name: a}}", "no such kind is known"),
        ("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, date: {}}", "unknown field"),
        ("{apiVersion: v1, kind: ConfigMap, metadata: {name: a, name: b}}", "already set in map"),
        ("{apiVersion: v1, kind: ConfigMap, metadata: {name: A}}", "lowercase RFC 1123"),
        ("[]", "cannot unmarshal"),
    ],
)
def test_what_is_no_object_is_refused(text, word):
    assert word in "".join(said(text))


def test_every_document_gets_its_verdict():
    verdicts = apiserver.judge(
        "\n---\n".join([SERVICE.replace("PORT", "2"), CLAIM.replace("SIZE", "1")])
    )
    assert [(item.kind, item.name) for item in verdicts] == [
        ("Service", "s"),
        ("PersistentVolumeClaim", "data"),
    ]
