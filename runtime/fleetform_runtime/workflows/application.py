"""A workflow, ready to begin runs and to execute them."""

import hashlib
import logging

from fleetform_runtime import __version__
from fleetform_runtime.front import Front
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.store import StoreError, UnsuitableStoreError
from fleetform_runtime.workflows import counting
from fleetform_runtime.workflows.api import LARGEST_BODY, WorkflowApi, routes
from fleetform_runtime.workflows.calls import A2aCaller
from fleetform_runtime.workflows.execution import Around
from fleetform_runtime.workflows.notice import Notifier
from fleetform_runtime.workflows.settings import WorkflowSettings
from fleetform_runtime.workflows.spans import build as build_spans
from fleetform_runtime.workflows.store.build import build as build_store
from fleetform_runtime.workflows.worker import Worker

log = logging.getLogger(__name__)


class Workflow:
    """What executes runs of a workflow: a store, agents, who is told, and counters."""

    def __init__(self, settings: WorkflowSettings, secrets: Secrets) -> None:
        self.settings = settings
        secrets.learn_all(settings)
        self.metrics = counting.metrics(settings.workflow.name)
        self.counting = counting.Counting(self.metrics)
        self.store = build_store(settings, secrets)
        self.caller = A2aCaller(secrets)
        notification = settings.notification
        notifier = Notifier(notification, settings.workflow, secrets) if notification else None
        self.spans = build_spans(settings, secrets)
        self.around = Around(
            self.store,
            self.caller,
            settings.agent,
            notifier,
            self.counting,
            settings.lease_seconds,
            self.spans,
        )
        text = settings.model_dump_json(by_alias=True, exclude_unset=True)
        self.hash = hashlib.sha256(text.encode()).hexdigest()
        self.metrics.set("workflow_build_info", 1, __version__, self.hash[:8])

    async def close(self) -> None:
        """Close all connections."""
        await self.caller.close()
        await self.store.close()
        await self.spans.close()


class WorkflowApplication(Front):
    """A workflow with its HTTP API, executed beside other processes on the same store."""

    largest_message = LARGEST_BODY

    def __init__(self, settings: WorkflowSettings, secrets: Secrets, *, works: bool = True) -> None:
        """Take a workflow; unless it `works`, runs are only shown and asked for."""
        self._works = works
        self._workflow = flow = Workflow(settings, secrets)
        self.worker = Worker(
            flow.around,
            settings.concurrency.max_concurrent,
            settings.retention_seconds,
            flow.counting.open,
        )
        api = WorkflowApi(settings, flow.store, flow.caller, self.worker.wake, flow.hash)
        super().__init__(
            settings.server,
            settings.auth,
            secrets,
            flow.metrics,
            lambda is_draining: routes(settings, api, flow.store, is_draining),
        )

    async def open(self) -> None:
        """Connect; a store that does not answer yet is tried again.

        Raises:
            UnsuitableStoreError: it is of a kind that is not supported.
        """
        try:
            await self._workflow.store.open()
        except UnsuitableStoreError:
            await self.close()
            raise
        except StoreError as error:
            log.warning("the store of workflows does not answer: %s", error)
        if self._works:
            self.worker.start()

    async def close(self) -> None:
        """Close everything."""
        await self.worker.stop()
        await super().close()
        await self._workflow.close()

    def begin_to_drain(self) -> int:
        """Become unready; return how many runs are executed here."""
        super().begin_to_drain()
        return self.worker.active

    async def drain(self) -> None:
        """Leave all runs to others, which go on where they stand: nobody has to wait for their end."""
        await self.worker.stop()
