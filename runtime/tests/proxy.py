"""A small load balancer: it follows readiness, and passes bytes on to one of the replicas."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp

from runtime.tests.process import Runtime
from runtime.tests.servers import PATIENCE

PROBE_SECONDS = 0.1


class Proxy:
    def __init__(self, replicas: Sequence[Runtime]) -> None:
        self.replicas = replicas
        self.ready: set[int] = set()
        self.url = ""
        self._turn = itertools.count()

    async def probe(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                for replica in self.replicas:
                    await self._probe(session, replica)
                await asyncio.sleep(PROBE_SECONDS)

    async def _probe(self, session: aiohttp.ClientSession, replica: Runtime) -> None:
        try:
            async with (
                asyncio.timeout(PATIENCE),
                session.get(replica.url + "/health/ready") as answer,
            ):
                is_ready = answer.status == 200
        except (aiohttp.ClientError, OSError):
            is_ready = False
        (self.ready.add if is_ready else self.ready.discard)(replica.port)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await self._connected()
        ways = [
            asyncio.create_task(pump(reader, other_writer)),
            asyncio.create_task(pump(other_reader, writer)),
        ]
        await asyncio.wait(ways)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the next replica that is ready; one that listens no longer is passed over."""
        async with asyncio.timeout(PATIENCE):
            while True:
                if ports := sorted(self.ready):
                    port = ports[next(self._turn) % len(ports)]
                    try:
                        return await asyncio.open_connection("127.0.0.1", port)
                    except OSError:
                        self.ready.discard(port)
                await asyncio.sleep(0.01)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def balancing(replicas: Sequence[Runtime]) -> AsyncIterator[Proxy]:
    proxy = Proxy(replicas)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    probing = asyncio.create_task(proxy.probe())
    try:
        while not proxy.ready:
            await asyncio.sleep(0.02)
        yield proxy
    finally:
        probing.cancel()
        server.close()
