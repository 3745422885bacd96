"""What the model reads when a tool's service gave no answer."""

from fleetform_runtime.net import NetError, Why
from fleetform_runtime.tools import ToolError

_SAID: dict[Why, str] = {
    "connection": "{who} cannot be reached.",
    "timeout": "{who} did not answer in time.",
    "too_large": "{who} sent an answer that is too large.",
    "address": "{who} has an address that is not allowed.",
    "redirect": "{who} cannot be called: {detail}.",
    "invalid": "{who} sent an answer that cannot be read.",
    "credentials": "{who} cannot be called: its credentials are missing or were refused.",
}


def tool_error(error: NetError, who: str) -> ToolError:
    """Return the failure of a call; `who` begins the sentence, such as "The tool's service"."""
    return ToolError(
        _SAID[error.why].format(who=who, detail=error),
        "timeout" if error.why == "timeout" else "error",
    )
