"""Validation of arguments with JSON Schemas, which never fetches anything."""

from typing import Any

import jsonschema_rs

from fleetform_runtime.tools import ToolError

MOST_ERRORS = 5


class Arguments:
    """Validates the arguments of one tool."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._validator = compiled(schema)

    def check(self, arguments: dict[str, Any]) -> None:
        """Check the arguments; the error tells the model everything that is wrong.

        Raises:
            ToolError: they do not match.
        """
        if faults := self.faults(arguments):
            raise ToolError(f"The arguments are invalid. {faults}", "invalid")

    def faults(self, value: Any) -> str:
        """Return how a value does not match, with the places; nothing if it does."""
        if self._validator is None or self._validator.is_valid(value):
            return ""
        errors = []
        for error in self._validator.iter_errors(value):
            path = ".".join(str(step) for step in error.instance_path) or "arguments"
            errors.append(f"{path}: {error.message}")
            if len(errors) == MOST_ERRORS:
                break
        return "; ".join(errors)


def compiled(schema: dict[str, Any]) -> Any:
    """Compile a schema, or return None if it is invalid: a server's mistake must not hide its tool."""
    try:
        return jsonschema_rs.validator_for(schema, retriever=_refuse, validate_formats=True)
    except (ValueError, TypeError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError):
        return None


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is not fetched: schemas must be self-contained")
