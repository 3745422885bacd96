"""The pages say what is true: every example is run, every table follows from the code."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fleetform_runtime import reference, schema
from fleetform_runtime.problems import CODES
from runtime.tests.harness import serving
from runtime.tests.upstreams import answers, upstream

ROOT = Path(__file__).resolve().parents[2]
PAGES = {name: (ROOT / f"docs/{name}.md").read_text("utf-8") for name in ("runtime", "a2a")}
PAGE = PAGES["runtime"]
EXAMPLE = re.compile(r"```http\n(.*?)```\n```(json|text)\n(.*?)```", re.DOTALL)


def matches(expected: Any, found: Any) -> bool:
    """Compare; an ellipsis stands for anything."""
    if expected == "…":
        return True
    if isinstance(expected, dict) and isinstance(found, dict):
        return expected.keys() == found.keys() and all(
            matches(value, found[key]) for key, value in expected.items()
        )
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(map(matches, expected, found))
    return bool(expected == found)


def request(text: str, seen: dict[str, str]) -> tuple[str, str, dict[str, str], bytes | None]:
    for name, value in seen.items():
        text = text.replace(f"{{{name}}}", value)
    head, _, body = text.partition("\n\n")
    line, *headers = head.strip().split("\n")
    method, path = line.split(" ")
    found = dict(header.split(": ", 1) for header in headers)
    if not body.strip():
        return method, path, found, None
    return method, path, found | {"Content-Type": "application/json"}, body.strip().encode()


@pytest.mark.anyio
@pytest.mark.parametrize(("page", "least"), [("runtime", 9), ("a2a", 1)])
async def test_every_example_of_the_page_is_true(page, least):
    examples = EXAMPLE.findall(PAGES[page])
    assert len(examples) >= least
    tools = [
        {
            "type": "api",
            "name": "look_up",
            "description": "Looks a customer up.",
            "method": "GET",
            "parameters": [{"name": "id", "in": "path", "type": "string", "required": True}],
        },
        {
            "type": "human",
            "name": "ask_lead",
            "description": "Asks the lead.",
            "parameters": [{"name": "question", "type": "string"}],
        },
    ]
    seen: dict[str, str] = {}
    async with upstream(answers({"id": "A1", "tier": "gold"})) as server:
        tools[0]["endpoint"] = server.url + "/{id}"
        changes = {
            "agent": {"name": "support", "namespace": "demo"},
            "model": {"provider": "openai", "name": "gpt-4o"},
            "tools": tools,
        }
        async with serving(**changes) as client:
            for asked, kind, expected in examples:
                method, path, headers, body = request(asked, seen)
                reply = await client.ask(method, path, data=body, headers=headers)
                if kind == "json":
                    assert matches(json.loads(expected), reply.json), (asked, reply.body)
                    found = [reply.json]
                else:
                    pattern = re.escape(expected).replace("…", '[^"]+')
                    assert re.fullmatch(pattern, reply.body.decode()), (asked, reply.body)
                    found = [
                        json.loads(line[6:])
                        for line in reply.body.decode().split("\n")
                        if line.startswith("data: ")
                    ]
                for item in found:
                    seen |= {
                        name: item[name] for name in ("session_id", "run_id") if item.get(name)
                    }


def codes() -> str:
    rows = [
        f"| `{code}` | {status} | {'yes' if again else ''} |"
        for code, (status, _, again) in CODES.items()
    ]
    return "\n".join(
        [
            "<!-- codes -->",
            "| code | status | retryable |",
            "|---|--:|---|",
            *rows,
            "<!-- /codes -->",
        ]
    )


def test_every_code_is_in_the_page():
    assert codes() in PAGE


def test_the_reference_follows_from_the_schema(capsys):
    assert reference.main([str(ROOT / "docs"), "--check"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("page", ["runtime", "a2a", "laptop", "faults", "runtime-configuration"])
def test_links_lead_somewhere(page):
    text = (ROOT / f"docs/{page}.md").read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / "docs" / target).exists(), target


def test_the_committed_schemas_are_those_of_the_models(capsys):
    assert schema.main([str(ROOT / "schemas"), "--check"]) == 0
    assert capsys.readouterr().err == ""


def test_schemas_are_written_once_and_drift_is_named(tmp_path, capsys):
    assert schema.main([str(tmp_path), "--check"]) == 3
    assert "agent-runtime.json differs" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert schema.main([str(tmp_path)]) == 0
    assert schema.main([str(tmp_path), "--check"]) == 0
    text = (tmp_path / "agent-runtime.json").read_text("utf-8")
    assert text.startswith('{\n  "$schema"')
    assert text.endswith("}\n")
