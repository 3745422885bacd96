"""`fleetform releases`."""

import json
import shlex

from tests.fleet import AGENT, ENVIRONMENT, GOOD, fleetform, write


def named(name: str, **spec: object) -> str:
    more = "".join(f"  {key}: {json.dumps(value)}\n" for key, value in spec.items())
    return AGENT.replace("helper", name) + more


def releases(folder, *options):
    outcome = fleetform("releases", *options, cwd=folder)
    assert outcome.code == 0, outcome.err
    return outcome


def fleet(folder, *agents, environment=ENVIRONMENT):
    text = "---\n".join(agents)
    return write(folder, {"agents/a.yaml": text, "environments/prod.yaml": environment})


def test_text_and_json_say_the_same(tmp_path):
    write(tmp_path, GOOD)
    assert fleetform("charts", cwd=tmp_path).code == 0
    assert fleetform("render", "--target", "helm", cwd=tmp_path).code == 0
    done = releases(tmp_path)
    assert done.err == ""
    path = "charts/values/prod/default/helper.yaml"
    assert shlex.split(done.out) == shlex.split(
        f"helm upgrade --install helper charts/agent -n default -f {path}"
    )
    assert (tmp_path / path).is_file()
    (row,) = json.loads(releases(tmp_path, "--format", "json").out)
    assert row == {
        "name": "helper",
        "namespace": "default",
        "chart": "charts/agent",
        "waits": True,
        "values": [path],
    }


def test_a_release_is_waited_for_unless_its_claims_wait_for_later_ones(tmp_path):
    fleet(tmp_path, AGENT + "  volumes: [{name: notes, mountPath: /notes, claim: {size: 1Gi}}]\n")
    shared, own = releases(tmp_path, "--wait", "10m").out.splitlines()
    assert shared.endswith("/fleetform-namespace.yaml")
    assert own.endswith("/helper.yaml --rollback-on-failure --timeout 10m")
    rows = json.loads(releases(tmp_path, "--format", "json").out)
    assert [row["waits"] for row in rows] == [False, True]


def test_callees_come_before_their_callers_and_circles_end(tmp_path):
    fleet(
        tmp_path,
        named("a", tools=[{"name": "c"}]),
        named("b"),
        named("c", tools=[{"name": "d"}]),
        named("d"),
        named("e", peers=["f"]),
        named("f", peers=["e"]),
    )
    names = [row["name"] for row in json.loads(releases(tmp_path, "--format", "json").out)]
    assert sorted(names) == ["a", "b", "c", "d", "e", "f"]
    assert names.index("d") < names.index("c") < names.index("a")


def test_charts_of_a_registry_have_their_version(tmp_path):
    chart = "  helm: {charts: oci://registry.example.com/acme/charts, version: 1.2.3}\n"
    fleet(tmp_path, AGENT, environment=ENVIRONMENT + chart)
    line = releases(tmp_path).out
    assert "helper oci://registry.example.com/acme/charts/agent -n default --version 1.2.3" in line


def test_stale_values_are_said_and_listed_all_the_same(tmp_path):
    write(tmp_path, GOOD)
    done = releases(tmp_path)
    assert "warning: charts/values/prod is missing or stale" in done.err
    assert "fleetform render --env prod --target helm" in done.err
    assert done.out.startswith("helm upgrade --install helper")
