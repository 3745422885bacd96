"""`fleetform usage` with a Prometheus that says what a test wants, and with ones that answer wrongly."""

import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs

import pytest

from fleetform import usage
from tests.fleet import GOOD, fleetform, write

METRIC = re.compile(r"agent_\w+_total")


class Server(ThreadingHTTPServer):
    """Answers every query with the series of its metric."""

    series: dict[str, list[tuple[dict[str, str], float]]]
    queries: list[tuple[str, float]]
    tokens: list[str | None]
    wrong: tuple[int, bytes] | None


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        (query,), (moment,) = form["query"], form["time"]
        self.server.queries.append((query, float(moment)))
        self.server.tokens.append(self.headers.get("Authorization"))
        found = self.server.series.get(METRIC.search(query)[0], [])
        result = [{"metric": labels, "value": [0, str(number)]} for labels, number in found]
        code, body = self.server.wrong or (
            200,
            json.dumps({"status": "success", "data": {"result": result}}).encode(),
        )
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(series=None, wrong: tuple[int, bytes] | None = None) -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.series, server.queries, server.tokens, server.wrong = series or {}, [], [], wrong
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def labels(agent: str, model: str, team: str = "", **more: str) -> dict[str, str]:
    return {"namespace": "default", "agent": agent, "model": model, "team": team, **more}


SERIES = {
    "agent_llm_cost_usd_total": [
        (labels("shop", "gpt", "sales"), 1.25),
        (labels("desk", "gpt", "care"), 0.5),
    ],
    "agent_llm_tokens_total": [
        (labels("shop", "gpt", "sales", type="input"), 1000),
        (labels("shop", "gpt", "sales", type="output"), 100),
        (labels("desk", "gpt", "care", type="input"), 300),
        (labels("desk", "own", "care", type="input"), 70),
        (labels("desk", "own", "care", type="output"), 7),
    ],
    "agent_embedding_tokens_total": [(labels("desk", "vectors", "care"), 40)],
    "agent_embedding_cost_usd_total": [(labels("desk", "vectors", "care"), 0.001)],
}


def asked(folder, server: Server, *words: str):
    write(folder, GOOD)
    url = f"http://127.0.0.1:{server.server_port}"
    return fleetform("usage", "--prometheus", url, "--days", "1", *words, cwd=folder)


def test_use_is_summed_and_what_has_no_price_is_named(tmp_path):
    with serving(SERIES) as server:
        done = asked(tmp_path, server, "--by", "team,model")
    assert done.code == 0, done.err
    assert done.out == (
        "TEAM   MODEL    INPUT  OUTPUT     USD\n"
        "care   gpt        300       0    0.50\n"
        "care   own         70       7       ?\n"
        "care   vectors     40       0    0.00\n"
        "sales  gpt       1000     100    1.25\n"
        "total            1410     107  1.75+?\n"
    )
    assert done.err == "no price: default/desk own; set the model's `pricing`\n"


def test_json_and_csv_have_numbers_and_no_dollars_where_no_price_is_known(tmp_path):
    with serving(SERIES) as server:
        form = ("--by", "agent", "--format")
        found = json.loads(asked(tmp_path, server, *form, "json").out)
        rows = list(csv.DictReader(io.StringIO(asked(tmp_path, server, *form, "csv").out)))
        own = json.loads(asked(tmp_path, server, "--by", "model", "--format", "json").out)
    assert found == [
        {"agent": "desk", "input_tokens": 410, "output_tokens": 7, "usd": 0.501, "tokens_without_price": 77},
        {"agent": "shop", "input_tokens": 1000, "output_tokens": 100, "usd": 1.25, "tokens_without_price": 0},
    ]  # fmt: skip
    assert [row["usd"] for row in rows] == ["0.501", "1.25"]
    assert [row["usd"] for row in own if row["model"] == "own"] == [None]


def test_a_plot_has_a_bar_for_each_row(tmp_path):
    with serving(SERIES) as server:
        done = asked(tmp_path, server, "--by", "agent", "--format", "plot")
    lines = done.out.splitlines()
    assert [line.count("█") for line in lines] == [16, 40]
    assert [line.split()[-1] for line in lines] == ["0.50+?", "1.25"]


def test_each_day_is_asked_for_by_itself_at_its_end(tmp_path):
    with serving(SERIES) as server:
        done = asked(tmp_path, server, "--days", "3", "--by", "day")
    days = [line.split()[0] for line in done.out.splitlines()[1:-1]]
    # The clock may pass midnight between the command and here.
    now = datetime.now(UTC)
    assert days in (
        [f"{now - timedelta(days=back + late):%Y-%m-%d}" for back in (2, 1, 0)] for late in (0, 1)
    )
    spans = {re.search(r"\[(\d+)s\]", query)[1] for query, _ in server.queries}
    assert "86400" in spans
    assert all('namespace=~"default"' in query for query, _ in server.queries)
    assert len({moment for _, moment in server.queries}) == 3


def test_the_day_that_begins_is_asked_for_from_its_first_second_on():
    midnight = datetime(2026, 3, 1, tzinfo=UTC)
    assert [(str(d), s) for d, _, s in usage.days(midnight, 2)] == [("2026-02-28", 86400)]
    (_, _, seconds), (_, end, last) = usage.days(midnight + timedelta(seconds=5), 2)
    assert (seconds, last, end) == (86400, 5, midnight + timedelta(seconds=5))


def test_what_came_within_this_second_is_asked_for_too():
    with serving() as server:
        moment = datetime(2026, 3, 1, 12, 0, 0, 499_000, tzinfo=UTC)
        usage.Prometheus(f"http://127.0.0.1:{server.server_port}").at(
            "agent_llm_tokens_total", moment
        )
    assert server.queries == [("agent_llm_tokens_total", moment.timestamp())]


def test_a_token_is_sent_and_never_to_where_a_redirect_leads(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_TOKEN", "hunter2")
    with serving(SERIES) as server:
        assert asked(tmp_path, server).code == 0
        assert set(server.tokens) == {"Bearer hunter2"}
    with serving(wrong=(302, b"")) as server:
        done = asked(tmp_path, server)
    assert done.code == 1
    assert "HTTP 302" in done.err
    assert "hunter2" not in done.err


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ((503, b"starting"), "HTTP 503\n  hint: check the address"),
        ((422, b'{"error": "bad \\u001b[31mquery"}'), r"HTTP 422: bad \x1b[31mquery"),
        ((401, b""), "HTTP 401\n  hint: set PROMETHEUS_TOKEN"),
        ((200, b"<html>"), "does not answer as a Prometheus does"),
        ((200, b'{"data": {"result": [{"metric": {}}]}}'), "does not answer as a Prometheus does"),
        ((200, b'{"data": null}'), "does not answer as a Prometheus does"),
    ],
)
def test_what_is_no_answer_is_said_in_one_line(wrong, says, tmp_path):
    with serving(wrong=wrong) as server:
        done = asked(tmp_path, server)
    assert done.code == 1
    assert says in done.err
    assert done.out == ""


def test_nothing_used_is_said(tmp_path):
    with serving() as server:
        done = asked(tmp_path, server)
    assert (done.code, done.err) == (0, "no agent has used a model in these days\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--by", "user"), "'user' is none of day, namespace, team, cost-center, agent, model"),
        (("--by", "team,team"), "team is named twice"),
        (("--by", ""), "'' is none of"),
        (("--days", "0"), "0 is not in the range"),
    ],
)
def test_what_cannot_be_asked_is_refused(words, says, tmp_path):
    write(tmp_path, GOOD)
    done = fleetform("usage", *words, cwd=tmp_path)
    assert done.code == 2
    assert says in done.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "no Prometheus is known for prod"),
        (("--prometheus", "localhost:9090"), "`localhost:9090` is no URL"),
        (("--prometheus", "http://127.0.0.1:1"), "cannot ask http://127.0.0.1:1"),
    ],
)
def test_without_a_prometheus_the_message_says_what_to_do(words, says, tmp_path):
    write(tmp_path, GOOD)
    done = fleetform("usage", *words, cwd=tmp_path)
    assert done.code == 1
    assert says in done.err
    assert "hint" in done.err
