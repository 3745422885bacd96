"""Qdrant by HTTP: its client's own models, which take no unknown member, before its client's own engine.

Runs in the Python of `tools/qdrant`. It prints its port, and serves until its standard input ends.
"""

import json
import re
import sys
import threading

from json_server import JsonHandler, serve
from pydantic import TypeAdapter
from qdrant_client import QdrantClient
from qdrant_client.http import models
from qdrant_client.local import payload_filters

KEY = sys.argv[1] if len(sys.argv) > 1 else ""
ENGINE = QdrantClient(":memory:")
LOCK = threading.Lock()


def _strict(function):
    """To the server a truth value is no number, to Python it is."""

    def checked(condition, value):
        wanted = condition.value if isinstance(condition, models.MatchValue) else 0.0
        if isinstance(value, bool) != isinstance(wanted, bool):
            return False
        return function(condition, value)

    return checked


for _name in ("check_match", "check_range"):
    setattr(payload_filters, _name, _strict(getattr(payload_filters, _name)))


def plain(value):
    return json.loads(value.model_dump_json()) if hasattr(value, "model_dump_json") else value


def create(name, body):
    asked = models.CreateCollection.model_validate(body)
    return ENGINE.create_collection(
        name, vectors_config=asked.vectors, sparse_vectors_config=asked.sparse_vectors
    )


def describe(name, body):
    return ENGINE.get_collection(name)


def put(name, body):
    ENGINE.upsert(name, models.PointsList.model_validate(body).points)
    return {"status": "completed"}


def retrieve(name, body):
    asked = models.PointRequest.model_validate(body)
    return [plain(one) for one in ENGINE.retrieve(name, asked.ids, with_payload=asked.with_payload)]


def delete(name, body):
    asked = TypeAdapter(models.PointsSelector).validate_python(body)
    ENGINE.delete(name, asked)
    return {"status": "completed"}


def query(name, body):
    asked = models.QueryRequest.model_validate(body)
    return ENGINE.query_points(
        name, query=asked.query, using=asked.using, query_filter=asked.filter, limit=asked.limit,
        with_payload=asked.with_payload, score_threshold=asked.score_threshold,
    )  # fmt: skip


def scroll(name, body):
    asked = models.ScrollRequest.model_validate(body)
    points, after = ENGINE.scroll(
        name,
        scroll_filter=asked.filter,
        limit=asked.limit,
        offset=asked.offset,
        with_payload=asked.with_payload,
    )
    return {"points": [plain(one) for one in points], "next_page_offset": after}


def index(name, body):
    models.CreateFieldIndex.model_validate(body)
    return {"status": "completed"}


ROUTES = {
    ("GET", ""): describe,
    ("PUT", ""): create,
    ("PUT", "/points"): put,
    ("POST", "/points"): retrieve,
    ("POST", "/points/delete"): delete,
    ("POST", "/points/query"): query,
    ("POST", "/points/scroll"): scroll,
    ("PUT", "/index"): index,
}


class Handler(JsonHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = re.fullmatch(r"/collections/([A-Za-z0-9_.-]+)(/[a-z/]+)?(\?wait=true)?", self.path)
        work = ROUTES.get((self.command, path[2] or "")) if path else None
        if KEY and self.headers.get("api-key") != KEY:
            self.write(401, {"status": {"error": "Must provide an API key"}})
        elif path is None or work is None:
            self.write(404, {"status": {"error": "no such route"}})
        else:
            self.work(work, path[1], json.loads(body) if body else None)

    def work(self, work, name, body):
        with LOCK:
            if work is not create and not ENGINE.collection_exists(name):
                self.write(404, {"status": {"error": f"Collection `{name}` doesn't exist!"}})
                return
            try:
                result = plain(work(name, body))
            except Exception as error:
                self.write(400, {"status": {"error": str(error)}})
                return
        self.write(200, {"result": result, "status": "ok", "time": 0.0})

    do_GET = do_PUT = do_POST = answer  # noqa: N815 - the names that http.server calls


serve(Handler)
