"""What every alert has: a name, how urgent it is, an expression, and words for the person on call."""

from collections.abc import Mapping
from typing import Any

from fleetform.contract import ANSWERS, WORK
from fleetform.records import NamedTuple

NAMESPACE = "<namespace>"
"""Stands for the namespace in expressions."""
OF_WORK = f'route=~"{"|".join(WORK)}"'
"""Selects requests that let the agent work. What only looks at a run, such as a poll for its status, is as cheap as it is
frequent: counted too, it would hide that every run fails."""
OF_ANSWERS = f'route=~"{"|".join(ANSWERS)}"'
"""Selects requests that wait for an answer."""
PAGE, TICKET = "page", "ticket"
SEVERITIES: Mapping[str, str] = {PAGE: "critical", TICKET: "warning"}
"""How urgent an alert is: a person is woken, or looks at it in working hours. The label `severity` of each."""


class Alert(NamedTuple):
    """One rule; `severity` is PAGE or TICKET, `lasts` a Prometheus duration, `next` the first step for the person on call."""

    name: str
    severity: str
    lasts: str
    expression: str
    summary: str
    next: str


def rule(
    alert: Alert, namespace: str, runbooks: str, severities: Mapping[str, str]
) -> dict[str, Any]:
    """Return the rule of an alert, as in a PrometheusRule.

    `runbooks` is the URL of a page with a heading per alert, or has `{alert}` in it; none if it is empty.
    """
    annotations = {"summary": alert.summary, "description": alert.next}
    if runbooks:
        page = runbooks if "{alert}" in runbooks else f"{runbooks}#{alert.name.lower()}"
        annotations["runbook_url"] = page.replace("{alert}", alert.name)
    return {
        "alert": alert.name,
        "expr": alert.expression.replace(NAMESPACE, namespace),
        "for": alert.lasts,
        "labels": {"severity": severities[alert.severity]},
        "annotations": annotations,
    }
