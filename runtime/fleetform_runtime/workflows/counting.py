"""What happens to runs, as metrics."""

from fleetform_runtime.metrics import WORKFLOW_METRICS
from fleetform_runtime.telemetry.metrics import Metrics
from fleetform_runtime.workflows.records import StepState, WorkflowRun
from fleetform_runtime.workflows.store import Counts


def metrics(workflow: str) -> Metrics:
    """Return the metrics of a workflow."""
    return Metrics(workflow, "workflow", WORKFLOW_METRICS)


class Counting:
    """Counts what executions tell."""

    def __init__(self, held: Metrics) -> None:
        self._metrics = held

    def step(self, name: str, state: StepState, seconds: float) -> None:
        """Count a step that is over."""
        self._metrics.observe("workflow_step_duration_seconds", seconds, name, state.phase)

    def attempt(self, name: str, outcome: str) -> None:
        """Count an attempt."""
        self._metrics.count("workflow_step_attempts_total", name, outcome)

    def run(self, run: WorkflowRun, seconds: float) -> None:
        """Count a run that is over."""
        self._metrics.count("workflow_runs_total", run.phase, run.reason)
        self._metrics.observe("workflow_run_duration_seconds", seconds)

    def takeover(self) -> None:
        """Count a run that another process had begun."""
        self._metrics.count("workflow_takeovers_total")

    def fenced(self) -> None:
        """Count a run that was left to another process."""
        self._metrics.count("workflow_fenced_writes_total")

    def notified(self, outcome: str) -> None:
        """Count a notice."""
        self._metrics.count("workflow_notifications_total", outcome)

    def open(self, counts: Counts) -> None:
        """Note what is open."""
        self._metrics.set("workflow_runs_open", counts.pending, "Pending")
        self._metrics.set("workflow_runs_open", counts.running, "Running")
        self._metrics.set("workflow_oldest_pending_seconds", counts.oldest_pending)
        self._metrics.set("workflow_longest_silent_seconds", counts.longest_silent)
