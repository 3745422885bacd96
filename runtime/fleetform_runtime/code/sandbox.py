"""Runs code in a pod that agent-sandbox makes for this one run, with a kernel of its own, and that is gone after it.

The agent asks Kubernetes for a SandboxClaim, waits until the claim has a pod, sends the code there (`inside.py`
answers), and deletes the claim. A claim that nobody deletes, since the agent was killed, ends by itself.
docs/adr/0027-sandboxes-of-agent-sandbox.md says why it looks like this.
"""

import asyncio
import json
import logging
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fleetform_runtime.code import CodeError, Limits
from fleetform_runtime.code.inside import LARGEST_REQUEST, PORT, RUN
from fleetform_runtime.net import NetError
from fleetform_runtime.net.client import Answer, Client
from fleetform_runtime.places import ACCOUNT
from fleetform_runtime.sections.base import Tls

log = logging.getLogger(__name__)

GROUP, VERSION = "extensions.agents.x-k8s.io", "v1beta1"
START_SECONDS = 60.0
"""Seconds that a pod may take until code can be sent to it; one that waits in the pool takes none of them."""
REACHED_SECONDS = 10.0
"""Seconds of those in which a pod that is ready may refuse connections: policies follow a new address a little later."""
GRACE = 5.0
"""Seconds after the limit until a pod that does not answer is given up."""
LEFT_SECONDS = 120
"""Seconds after all that until a claim ends without anybody: clocks of the agent and of the cluster differ."""
AT_ONCE = 4
"""Runs of one tool at the same time, each in a pod of its own."""
CALL_SECONDS = 10.0
MOST_SAID = 1024 * 1024
"""Bytes of an answer of Kubernetes."""
FIRST_LOOK, LONGEST_LOOK = 0.1, 1.0
"""Seconds between two looks at a claim; each is longer than the one before."""
LONGEST_PREFIX = 52
"""Characters of the pool's name in that of a claim, which has 63 at most."""


def obstacle() -> str:
    """Return why there are no sandboxes here, empty if Kubernetes can be asked for one."""
    lacking = [name for name in ("token", "ca.crt", "namespace") if not (ACCOUNT / name).is_file()]
    if lacking or not os.environ.get("KUBERNETES_SERVICE_HOST"):
        return "a sandbox is a pod of a cluster with agent-sandbox, and this process is no pod that may ask for one"
    return ""


class Sandboxes:
    """Runs code in pods of one pool, each in one that has run nothing and will run nothing else."""

    def __init__(self, limits: Limits, pool: str) -> None:
        self._limits = limits
        self._pool = pool
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._kubernetes: Client | None = None

    async def run(self, code: str, inputs: dict[str, Any]) -> str:
        """Return what the code prints.

        Raises:
            CodeError: it failed, took more than it may, or there is no pod for it.
        """
        limits = self._limits
        asked = {"code": code, "inputs": inputs, **limits._asdict()}
        body = json.dumps(asked).encode()
        if len(body) > LARGEST_REQUEST:
            raise CodeError(f"The code and its inputs are more than {LARGEST_REQUEST} bytes.")
        # A name of our own: a claim is given back even if nobody has heard that it was made.
        claim = f"{self._pool[:LONGEST_PREFIX].rstrip('-')}-{secrets.token_hex(5)}"
        async with self._turn:
            try:
                await self._claim(claim)
                address = await self._ready(claim)
                return self._printed(await self._sent(address, body))
            finally:
                # Whoever is told to stop still gives the pod back.
                await asyncio.shield(asyncio.ensure_future(self._given_back(claim)))

    async def close(self) -> None:
        """Close the connections to Kubernetes."""
        if self._kubernetes is not None:
            await self._kubernetes.close()

    async def _claim(self, name: str) -> None:
        """Ask for a pod by a claim of this name."""
        seconds = START_SECONDS + self._limits.seconds + GRACE + LEFT_SECONDS
        end = datetime.now(UTC) + timedelta(seconds=seconds)
        claim = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "SandboxClaim",
            "metadata": {"name": name},
            "spec": {
                "warmPoolRef": {"name": self._pool},
                "lifecycle": {
                    "shutdownPolicy": "Delete",
                    "shutdownTime": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
                },
            },
        }
        if await self._asked("POST", "", json.dumps(claim).encode()) is None:
            raise _none("the cluster has no agent-sandbox, or not this version of it")

    async def _ready(self, claim: str) -> str:
        """Wait for the claim's pod; return its address."""
        said, pause = "nothing is known of it yet", FIRST_LOOK
        try:
            async with asyncio.timeout(START_SECONDS):
                while True:
                    found = await self._asked("GET", f"/{claim}")
                    if found is None:
                        raise _none("the claim was deleted")
                    status = found.get("status") or {}
                    ready = _condition(status, "Ready")
                    addresses = (status.get("sandbox") or {}).get("podIPs") or []
                    if ready.get("status") == "True" and addresses:
                        return str(addresses[0])
                    said = str(ready.get("message") or ready.get("reason") or said)
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, LONGEST_LOOK)
        except TimeoutError:
            log.warning("no sandbox within %g s: %s", START_SECONDS, said[:500])
            raise _none(f"none was ready within {START_SECONDS:g} s") from None

    async def _sent(self, address: str, body: bytes) -> Answer:
        """Send the code to a pod; the answer is whatever the pod says, and no more of it than output may be."""
        host = f"[{address}]" if ":" in address else address
        client = Client(f"http://{host}:{PORT}", direct=True)
        headers = {"Content-Type": "application/json"}
        try:
            until = asyncio.get_running_loop().time() + REACHED_SECONDS
            while True:
                try:
                    return await client.send(
                        "POST", f"http://{host}:{PORT}{RUN}", headers=headers, body=body,
                        seconds=self._limits.seconds + GRACE, most=_most(self._limits),
                    )  # fmt: skip
                except NetError as error:
                    # Only a connection that was never made may be tried again: code runs once.
                    if error.why != "connection" or not error.unsent or _now() > until:
                        raise self._unanswered(error) from None
                await asyncio.sleep(FIRST_LOOK)
        finally:
            await client.close()

    def _unanswered(self, error: NetError) -> CodeError:
        if error.why == "timeout":
            return CodeError(
                f"The code was stopped: it took longer than {self._limits.seconds:g} s."
            )
        if error.why == "too_large":
            return CodeError(
                f"The code was stopped: it printed more than {self._limits.output} bytes."
            )
        log.warning("a sandbox gave no answer: %s", error)
        return CodeError("The code was stopped: its sandbox ended, which happens when it takes more than it may.")  # fmt: skip

    def _printed(self, answer: Answer) -> str:
        """Read what a pod says; code may have written that too, so it is trusted in nothing but being a text."""
        try:
            said = json.loads(answer.body)
            output, error = said.get("output"), said.get("error")
        except (ValueError, RecursionError, AttributeError):
            output = error = None
        if isinstance(error, str) and error:
            raise CodeError(error)
        if answer.status != 200 or not isinstance(output, str):
            raise CodeError("The code was stopped: its sandbox gave no answer that can be read.")
        if len(output.encode("utf-8", "replace")) > self._limits.output:
            raise CodeError(
                f"The code was stopped: it printed more than {self._limits.output} bytes."
            )
        return output

    async def _given_back(self, claim: str) -> None:
        try:
            await self._asked("DELETE", f"/{claim}")
        except CodeError as error:
            log.warning("the claim %s is left to end by itself: %s", claim, error)

    async def _asked(self, method: str, path: str, body: bytes | None = None) -> Any:
        """Return what Kubernetes answers about claims, None if there is no such thing.

        Raises:
            CodeError: it does not answer, or refuses.
        """
        if self._kubernetes is None:
            self._kubernetes = Client(_api(), tls=Tls(ca_file=str(ACCOUNT / "ca.crt")), direct=True)
        try:
            # Tokens are replaced on disk long before they expire.
            token, space = (
                (ACCOUNT / name).read_text("utf-8").strip() for name in ("token", "namespace")
            )
            where = f"{_api()}/apis/{GROUP}/{VERSION}/namespaces/{space}/sandboxclaims{path}"
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            answer = await self._kubernetes.send(
                method, where, headers=headers, body=body, seconds=CALL_SECONDS, most=MOST_SAID
            )
            found = json.loads(answer.body) if answer.status < 300 else None
        except (NetError, OSError, ValueError) as error:
            log.warning("Kubernetes gives no sandbox: %s", error)
            raise _none("Kubernetes does not answer") from None
        if answer.status in (404, 410):
            return None
        if found is None:
            log.warning("Kubernetes gives no sandbox: %d %s", answer.status, answer.body[:500])
            raise _none(f"Kubernetes refuses with the status {answer.status}")
        return found


def _none(why: str) -> CodeError:
    return CodeError(f"The code did not run: there is no sandbox for it, since {why}.")


def _now() -> float:
    return asyncio.get_running_loop().time()


def _most(limits: Limits) -> int:
    """Return the bytes of an answer: a character of output takes six at most, as JSON writes it."""
    return 6 * limits.output + MOST_SAID


def _api() -> str:
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    port = os.environ.get("KUBERNETES_SERVICE_PORT_HTTPS") or "443"
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next(
        (item for item in status.get("conditions") or () if item.get("type") == kind),
        {},
    )
