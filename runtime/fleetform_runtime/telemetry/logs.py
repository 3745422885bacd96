"""Log lines: one JSON object each, without secrets and without message content."""

import contextvars
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, TextIO

import orjson

from fleetform_runtime.forms import Redact
from fleetform_runtime.sections.serving import Logging

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
_NOTHING: Mapping[str, str] = MappingProxyType({})
run_context: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar(
    "run_context", default=_NOTHING
)
"""run_id, session_id, caller and trace_id of everything logged during a run."""

_FIELDS = (
    "method",
    "route",
    "status",
    "duration_ms",
    "caller",
    "model",
    "finish_reason",
    "input_tokens",
    "output_tokens",
    "workflow_run",
    "step",
)
# Names and messages of tools and servers stand in log lines too; repr escapes each of these.
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


class JsonFormatter(logging.Formatter):
    """Formats records for log collectors."""

    def __init__(self, redact: Redact) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._redact(record.getMessage()),
        }
        if identifier := request_id.get():
            line["request_id"] = identifier
        line.update(run_context.get())
        for name in _FIELDS:
            if (value := getattr(record, name, None)) is not None:
                line[name] = self._redact(value) if isinstance(value, str) else value
        if record.exc_info:
            line["exception"] = self._redact(self.formatException(record.exc_info))
        return orjson.dumps(line, default=str).decode()


class TextFormatter(logging.Formatter):
    """Formats records for people."""

    def __init__(self, redact: Redact) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line, an exception too, without what a terminal would obey."""
        return one_line(self._redact(super().format(record)))


def one_line(text: str) -> str:
    """Return a text as one line, without what a terminal would obey."""
    return _CONTROLS.sub(lambda match: repr(match[0])[1:-1], text)


def configure(settings: Logging, redact: Redact, stream: TextIO | None = None) -> None:
    """Send the logs of the whole process to a stream, by default standard output."""
    handler = logging.StreamHandler(stream or sys.stdout)
    made = JsonFormatter(redact) if settings.format == "json" else TextFormatter(redact)
    handler.setFormatter(made)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for name in ("uvicorn", "uvicorn.access", "websockets", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # The gateway reports failures of requests; the rest are connections that we closed.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    for name, level in settings.loggers.items():
        logging.getLogger(name).setLevel(level.upper())
