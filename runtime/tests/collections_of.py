"""The stores of documents that tests ask, each with a collection of the test's own."""

from contextlib import asynccontextmanager

import pytest

from fleetform_runtime.knowledge import build
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.knowledge import (
    EmbeddedStore,
    MilvusStore,
    PgvectorStore,
    QdrantStore,
)

UNTRANSACTIONAL = ("qdrant", "milvus")
BACKENDS = (
    *("embedded", "pgvector"),
    *(pytest.param(name, marks=pytest.mark.proof) for name in UNTRANSACTIONAL),
)
KEY = "user:key-of-a-server"


class Place:
    """A backend, and the name of a collection in it that is this test's own."""

    count = 0

    def __init__(self, kind, tmp_path, request):
        Place.count += 1
        self.kind, self.tmp_path, self.request = kind, tmp_path, request
        self.name = f"c{Place.count}"

    def settings(self, **more):
        if self.kind == "embedded":
            return EmbeddedStore(type="embedded", path=str(self.tmp_path), collection=self.name)
        if self.kind in UNTRANSACTIONAL:
            port = self.request.getfixturevalue(self.kind)
            given = {"host": "127.0.0.1", "port": port, "collection": self.name, **more}
            if self.kind == "milvus":
                return MilvusStore(type="milvus", token={"env": "KEY"}, **given)
            return QdrantStore(type="qdrant", api_key={"env": "KEY"}, **given)
        own = {"host": "127.0.0.1", "database": "postgres", "username": "agent"}
        port = self.request.getfixturevalue("postgres").port
        given = {**own, "port": port, "collection": self.name, **more}
        return PgvectorStore(type="pgvector", **given)

    @asynccontextmanager
    async def store(self, **more):
        made = build.store(self.settings(**more), Secrets({"KEY": KEY}))
        try:
            yield made
        finally:
            await made.close()
