"""Tells a webhook of a run that has failed: at least once, without inputs, outputs and words of agents."""

import logging
from typing import Any

import orjson

from fleetform_runtime.net import NetError, again
from fleetform_runtime.net.addresses import origin
from fleetform_runtime.net.client import Client
from fleetform_runtime.secrets import SecretMissingError, Secrets
from fleetform_runtime.workflows.records import WorkflowRun
from fleetform_runtime.workflows.settings import Identity, Notification

log = logging.getLogger(__name__)

TRIES = 5
SECONDS = 10.0
LARGEST_ANSWER = 64 * 1024


class Notifier:
    """Sends to one webhook."""

    def __init__(self, settings: Notification, workflow: Identity, secrets: Secrets) -> None:
        self._settings = settings
        self._workflow = workflow
        self._secrets = secrets

    async def tell(self, run: WorkflowRun) -> bool:
        """Tell of a run; return whether the webhook has taken it."""
        try:
            url = self._secrets.value(self._settings.url)
            origin(url)
            client = Client(url)
        except (SecretMissingError, NetError, ValueError):
            log.warning("nobody is told of run %s: the URL of the webhook cannot be read", run.name)
            return False
        body = orjson.dumps(self._body(run))
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"{run.id}-{run.events}"}
        try:
            answer = await again.sent(
                lambda: client.send(
                    "POST", url, seconds=SECONDS, most=LARGEST_ANSWER, headers=headers, body=body
                ),
                TRIES,
                lambda status: status >= 500 or status in (408, 429),
                first=2,
            )
        except NetError as error:
            # The message may name the URL, which is the secret.
            log.warning("the webhook was not told of run %s: %s", run.name, error.why)
            return False
        finally:
            await client.close()
        if answer.status >= 300:
            log.warning(
                "the webhook was not told of run %s: it answered %d", run.name, answer.status
            )
        return answer.status < 300

    def _body(self, run: WorkflowRun) -> dict[str, Any]:
        name = self._workflow.display_name or self._workflow.name
        if self._settings.type == "slack":
            return {
                "text": f"Workflow *{_plain(name)}* failed: run `{run.name}`, {run.reason}. {_plain(run.summary)}"
            }
        return {
            "type": "workflow.failed",
            "workflow": self._workflow.name,
            "namespace": self._workflow.namespace,
            "run": run.name,
            "reason": run.reason,
            "message": run.summary,
        }


def _plain(text: str) -> str:
    """Return a text without the characters that Slack reads as its own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
