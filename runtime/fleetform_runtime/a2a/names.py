"""Names of the protocol: methods, versions, states, extensions; and of users towards other agents."""

import hashlib
import re

ERROR = "https://fleetform.dev/a2a/error/v1"
"""Metadata of a task that failed, and a detail of an error: {code, detail, retryable, retry_after?}."""
USAGE = "https://fleetform.dev/a2a/usage/v1"
"""Metadata of a task that ended: tokens and cost, as POST /chat has them."""
PROGRESS = "https://fleetform.dev/a2a/progress/v1"
"""Metadata of an update: {event: tool_start or tool_end, name, ok?}."""
SCHEMA = "https://fleetform.dev/a2a/output-schema/v1"
"""Metadata of a message: the JSON Schema that the answer has to match."""
HITL = "https://kagent.dev/extensions/hitl/v1"
"""Metadata of messages: what people are asked, and what they decide."""
EXTENSIONS = (SCHEMA, HITL)

VERSIONS = ("1.0", "0.3")
CURRENT, FORMER = VERSIONS

WORKING = "TASK_STATE_WORKING"
COMPLETED = "TASK_STATE_COMPLETED"
FAILED = "TASK_STATE_FAILED"
CANCELED = "TASK_STATE_CANCELED"
INPUT_REQUIRED = "TASK_STATE_INPUT_REQUIRED"
STATES = {
    "running": WORKING,
    "resumed": WORKING,
    "waiting": INPUT_REQUIRED,
    "succeeded": COMPLETED,
    "failed": FAILED,
    "cancelled": CANCELED,
}
"""What a run's status is called."""
NO_TASK = -32001
"""The code of an error: there is no such task, for whoever asks."""
TERMINAL = frozenset((COMPLETED, FAILED, CANCELED))
ANSWER = "answer"
"""The artifact that every answer is."""
TEXT = "text/plain"
JSON = "application/json"

USER = "X-User-Id"
"""Header in which a caller with `onBehalf` names its user."""
LONGEST_USER = 256
_PLAIN = re.compile(r"(?! )[^\x00-\x1f\x7f]+(?<! )")


def on_behalf(user: str) -> dict[str, str]:
    """Return the header that says for whom an agent is asked.

    A name that no header carries as it is has its hash sent: different users stay different.
    """
    if not user:
        return {}
    if not _PLAIN.fullmatch(user) or len(user.encode()) > LONGEST_USER:
        user = f"sha256:{hashlib.sha256(user.encode()).hexdigest()}"
    return {USER: user}
