"""The files that describe the contract: agent-runtime.json, workflow-runtime.json, fleet-runtime.json, runtime.json, metrics.json."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from fleetform_runtime.contract import facts
from fleetform_runtime.fleet.settings import FleetSettings
from fleetform_runtime.metrics import METRICS, PAGE_METRICS, WORKFLOW_METRICS
from fleetform_runtime.settings import Settings
from fleetform_runtime.workflows.settings import WorkflowSettings

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _ContractSchema(GenerateJsonSchema):
    """Describes agent.json: absent fields are left out, so no type allows null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        written = super().default_schema(schema)
        if written.get("default", ...) is None:
            del written["default"]
        return written

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        """Leave out OpenAPI's `discriminator`, which strict validators refuse."""
        written = super().tagged_union_schema(schema)
        written.pop("discriminator", None)
        return written

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Leave out titles that only repeat the field's name."""
        return False


def contract() -> dict[str, Any]:
    """Build the JSON Schema 2020-12 of agent.json, self-contained."""
    return _schema("agent", Settings, "Configuration of one agent")


def workflow_contract() -> dict[str, Any]:
    """Build the JSON Schema 2020-12 of workflow.json, self-contained."""
    return _schema("workflow", WorkflowSettings, "Configuration of one workflow")


def fleet_contract() -> dict[str, Any]:
    """Build the JSON Schema 2020-12 of fleet.json, self-contained."""
    return _schema("fleet", FleetSettings, "Configuration of the page of a fleet")


def _schema(what: str, settings: type[BaseModel], about: str) -> dict[str, Any]:
    body = settings.model_json_schema(schema_generator=_ContractSchema)
    return {
        "$schema": _DIALECT,
        "$id": f"https://fleetform.dev/schemas/{what}-runtime.json",
        **body,
        "title": f"{what}.json",
        "description": f"{about}, read by the Fleetform runtime from {what}.json.",
    }


def catalogue() -> dict[str, Any]:
    """Build the metrics catalogue, without empty fields."""
    metrics = [
        {key: value for key, value in asdict(metric).items() if value not in ("", (), [])}
        for metric in (*METRICS, *WORKFLOW_METRICS, *PAGE_METRICS)
    ]
    for metric in metrics:
        metric["labels"] = [
            {key: value for key, value in label.items() if value} for label in metric["labels"]
        ]
    return {"metrics": metrics}


def files() -> dict[str, str]:
    """Return the text of each file by name, indented by two."""
    documents = {
        "agent-runtime.json": contract(),
        "workflow-runtime.json": workflow_contract(),
        "fleet-runtime.json": fleet_contract(),
        "runtime.json": facts(),
        "metrics.json": catalogue(),
    }
    return {
        name: json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        for name, document in documents.items()
    }


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with --check only list those that differ; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fleetform_runtime.schema", description=__doc__)
    parser.add_argument("directory", type=Path, help="folder of the schemas")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 3 on drift")
    options = parser.parse_args(arguments)
    drifted = [
        (options.directory / name, text)
        for name, text in files().items()
        if not _holds(options.directory / name, text)
    ]
    for path, text in drifted:
        if options.check:
            sys.stderr.write(f"{path} differs from the models; run without --check\n")
        else:
            path.write_text(text, encoding="utf-8", newline="\n")
    return 3 if options.check and drifted else 0


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


if __name__ == "__main__":
    sys.exit(main())
