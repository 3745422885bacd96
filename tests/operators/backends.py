"""What KEDA's triggers ask, on loopback: one HTTP server in the role of many, and what it was asked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from runtime.tests.json_server import JsonHandler

SEEN = 3
"""How much of everything there is."""
BROKEN = "broken.example.com"
"""A host that answers nothing but errors."""


class Backend(JsonHandler):
    """Prometheus, RabbitMQ, NATS, SQS, a token endpoint and an API of metrics, and a proxy before all hosts."""

    asked: ClassVar[list[tuple[str, str, dict[str, list[str]]]]] = []

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        place = urlsplit(self.path)
        self.asked.append((place.netloc, place.path, parse_qs(place.query)))
        answer = None if place.hostname == BROKEN else _answer(place.path)
        self.write(404 if answer is None else 200, answer)

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        self.rfile.read(int(self.headers["Content-Length"]))
        path, action = urlsplit(self.path).path, self.headers.get("X-Amz-Target", "")
        self.asked.append(("", path, {"action": [action]}))
        answer = POSTED.get(action or path)
        self.write(404 if answer is None else 200, answer)

    def do_CONNECT(self) -> None:  # noqa: N802 - the name that http.server calls
        """Nothing leaves this machine."""
        self.asked.append((self.path, "", {}))
        self.write(502, None)


QUEUE = {
    "ApproximateNumberOfMessages": str(SEEN),
    "ApproximateNumberOfMessagesNotVisible": "0",
    "ApproximateNumberOfMessagesDelayed": "0",
}
POSTED = {
    "AmazonSQS.GetQueueAttributes": {"Attributes": QUEUE},
    "/token": {"access_token": "token", "expires_in": 3600, "token_type": "Bearer"},
}
CONSUMER = {"name": "workers", "num_pending": SEEN, "num_ack_pending": 0}
STREAM = {"name": "jobs", "consumer_detail": [CONSUMER], "state": {"messages": SEEN}}
ANSWERS = {
    "/api/v1/query": {
        "status": "success",
        "data": {"resultType": "vector", "result": [{"metric": {}, "value": [0, str(SEEN)]}]},
    },
    "/depth": {"queue": {"depth": SEEN}},
    "/jsz": {
        "meta_cluster": {"cluster_size": 1},
        "account_details": [{"id": "$G", "name": "$G", "stream_detail": [STREAM]}],
    },
}


def _answer(path: str) -> Any:
    if path.startswith("/api/queues/"):
        name = path.rpartition("/")[2]
        return {"name": name, "messages": SEEN, "messages_ready": SEEN}
    return ANSWERS.get(path)


@contextmanager
def running() -> Iterator[str]:
    """Serve, and yield host and port."""
    Backend.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
