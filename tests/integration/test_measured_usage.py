"""What `fleetform usage` says is what real agents used, as a real Prometheus saw it."""

import json
import urllib.request

import pytest

from runtime.tests.process import Runtime
from tests import prometheus
from tests.fleet import GOOD, fleetform, write

pytestmark = pytest.mark.proof

PRICE = {"inputPerMillion": 1000, "outputPerMillion": 4000}


def agent(folder, name: str, **pricing) -> Runtime:
    model = {"provider": "openai", "name": "small", **pricing}
    of = {"name": name, "namespace": "default"}
    return Runtime(folder, "--model", "scripted", agent=of, model=model)


def chat(server: Runtime, message: str) -> dict[str, float]:
    """Return the tokens of an answer."""
    request = urllib.request.Request(
        f"{server.url}/chat",
        data=json.dumps({"message": message}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, float] = json.load(answer)["usage"]
        return found


def asked(folder, server: prometheus.Prometheus, by: str) -> list[dict]:
    # The tests may run over midnight in UTC.
    words = ("--days", "2", "--by", by, "--format", "json", "--prometheus", server.url)
    done = fleetform("usage", *words, cwd=folder)
    assert done.code == 0, done.err
    rows: list[dict] = json.loads(done.out)
    return rows


def test_dollars_are_tokens_times_prices_whatever_pods_come_and_go(tmp_path):
    write(tmp_path, GOOD)
    pods = {
        "a": agent(tmp_path / "a", "shop", pricing=PRICE),
        "b": agent(tmp_path / "b", "shop", pricing=PRICE),
        "c": agent(tmp_path / "c", "desk"),
    }
    teams = {"a": "sales", "b": "sales", "c": "care"}
    targets = [
        (
            f"127.0.0.1:{one.metrics_port}",
            {"namespace": "default", "pod": pod, "team": teams[pod]},
        )
        for pod, one in pods.items()
    ]
    used = dict.fromkeys(pods, (0, 0))
    with prometheus.running(tmp_path / "prometheus", targets) as server:
        # One pod after the other, as in a rollout; each is gone before the next one answers.
        for number, (pod, one) in enumerate(pods.items(), 3):
            with one:
                for turn in range(number):
                    usage = chat(one, f"say {turn + 2} words")
                    spent = (usage["input_tokens"], usage["output_tokens"])
                    used[pod] = tuple(map(sum, zip(used[pod], spent, strict=True)))
                for kind, count in zip(("input", "output"), used[pod], strict=True):
                    series = f'agent_llm_tokens_total{{pod="{pod}",type="{kind}"}}'
                    server.until(series, count)
                    # An increase is between two samples.
                    server.until(f"clamp_max(count_over_time({series}[5m]), 2)", 2)
        rows = {row["team"]: row for row in asked(tmp_path, server, "team")}
        models = asked(tmp_path, server, "agent,model")
    sold = [used["a"][n] + used["b"][n] for n in (0, 1)]
    usd = (sold[0] * PRICE["inputPerMillion"] + sold[1] * PRICE["outputPerMillion"]) / 1_000_000
    assert rows["sales"]["usd"] == pytest.approx(usd, rel=0.02)
    assert (rows["sales"]["input_tokens"], rows["sales"]["output_tokens"]) == tuple(sold)
    assert rows["care"] == {
        "team": "care",
        "input_tokens": used["c"][0],
        "output_tokens": used["c"][1],
        "usd": None,
        "tokens_without_price": sum(used["c"]),
    }
    assert [(row["agent"], row["model"]) for row in models] == [
        ("desk", "small"),
        ("shop", "small"),
    ]
    assert sum(row["usd"] or 0 for row in models) == pytest.approx(usd, rel=0.02)


def test_a_container_that_starts_anew_is_not_counted_backwards(tmp_path):
    write(tmp_path, GOOD)
    one = agent(tmp_path / "a", "shop", pricing=PRICE)
    labels = {"namespace": "default", "pod": "a"}
    total = 0
    with prometheus.running(
        tmp_path / "prometheus", [(f"127.0.0.1:{one.metrics_port}", labels)]
    ) as server:
        for _ in range(2):
            with one:
                own = sum(chat(one, "say 9 words")["output_tokens"] for _ in range(4))
                server.until('agent_llm_tokens_total{pod="a",type="output"}', own)
                total += own
        (row,) = asked(tmp_path, server, "agent")
    # `increase` cannot know what the first sample began with: it is estimated, and never negative or twice as much.
    assert 0 < row["output_tokens"] <= 2 * total
