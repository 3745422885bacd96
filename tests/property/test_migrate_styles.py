"""Agents of a dialect in any style that people write YAML in: migrating keeps the meaning and the words."""

import json
import re
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetform.migrate import migrate
from fleetform.problems import errors

SECRET = {"name": "langfuse", "key": "secret"}
TARGET = {"type": "Utilization", "averageUtilization": 70}
VARIABLES = [
    {"name": "LOG_LEVEL", "value": "WARN"},
    {"name": "LANGFUSE_ENABLED", "value": "true"},
    {"name": "LANGFUSE_HOST", "value": "http://langfuse:3000"},
    {"name": "LANGFUSE_SECRET_KEY", "valueFrom": {"secretKeyRef": SECRET}},
    {"name": "OTHER", "value": "a b c"},
    {"name": "TEXT", "value": "x\n\ny\n"},
]
FIELDS: dict[str, list[Any]] = {
    "systemMessage": ["hi", "one\n\n  two\nthree\n", "# no comment\n", "one\ntwo"],
    "description": ["many words in here", "one\ntwo"],
    "tools": [["aa", "bb", {"name": "cc"}], [{"name": "dd", "capabilities": ["read"]}, "ee"], []],
    "memory": [
        {"type": "redis", "config": {"host": "h", "ttl": 3, "port": 1}, "secretRef": SECRET},
        {"type": "postgres", "secretRef": SECRET, "config": {"maxHistory": 9}},
        {"type": "redis", "redis": {"auth": {"secretRef": {"name": "q", "passwordKey": "z"}}}},
    ],
    "scaling": [
        {"metrics": [{"type": "cpu", "target": TARGET}, {"target": TARGET, "type": "memory"}]},
        {"keda": {"triggers": [{"type": "cron", "metadata": {"metricName": "m", "end": "5"}}]}},
    ],
    "env": [VARIABLES, VARIABLES[:3], VARIABLES[3:], VARIABLES[::-1]],
    "observability": [{"metrics": {"enabled": True}}, {"logging": {"level": "debug"}}],
}


class Author:
    """Writes data as YAML, never twice in the same style, with a numbered comment here and there."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.comments = 0

    def chance(self, percent: int) -> bool:
        return self.random.randrange(100) < percent

    def comment(self) -> str:
        self.comments += 1
        return f"# comment {self.comments}."

    def above(self, column: int) -> list[str]:
        blank = [""] if self.chance(15) else []
        return blank + ([" " * column + self.comment()] if self.chance(20) else [])

    def behind(self) -> str:
        return f"  {self.comment()}" if self.chance(20) else ""

    def scalar(self, value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z][\w./-]*", value):
            return json.dumps(value)
        quoted = [json.dumps(value), f"'{value}'"]
        return self.random.choice(quoted if value == "true" else [*quoted, value, value])

    def flow(self, value: Any) -> str:
        gap = " " if self.chance(30) else ""
        if isinstance(value, dict):
            return f"{{{gap}{', '.join(f'{k}: {self.flow(v)}' for k, v in value.items())}{gap}}}"
        if isinstance(value, list):
            return f"[{gap}{', '.join(map(self.flow, value))}{gap}]"
        return self.scalar(value)

    def block(self, value: Any, column: int) -> list[str]:
        lines = []
        pairs = value.items() if isinstance(value, dict) else [("-", item) for item in value]
        for key, item in pairs:
            lines += self.above(column)
            if isinstance(value, dict):
                lines += self.member(f"{key}:", item, column)
            elif isinstance(item, dict) and self.chance(70):
                lines += self.item(item, column)
            else:
                lines += self.member("-", item, column, flow=100)
        return lines + ([" " * column + self.comment()] if self.chance(10) else [])

    def item(self, value: dict, column: int) -> list[str]:
        inner = self.block(value, column + self.random.choice([2, 2, 4]))
        if not self.chance(85) or inner[0].strip()[:1] in ("", "#"):
            return [f"{' ' * column}-{self.behind()}", *inner]
        return [f"{' ' * column}-{inner[0][column + 1 :]}", *inner[1:]]

    def member(self, head: str, value: Any, column: int, flow: int = 20) -> list[str]:
        start = " " * column + head
        if isinstance(value, dict | list):
            if not value or self.chance(flow):
                return [f"{start} {self.flow(value)}{self.behind()}"]
            steps = [2, 4] if isinstance(value, dict) else [0, 2]
            inner = self.block(value, column + self.random.choice(steps))
            return [start + self.behind(), *inner]
        if isinstance(value, str) and "\n" in value:
            pad = " " * (column + self.random.choice([2, 4]))
            lines = [pad + line if line else "" for line in value.removesuffix("\n").split("\n")]
            return [f"{start} |{'' if value.endswith(chr(10)) else '-'}", *lines]
        return [f"{start} {self.scalar(value)}{self.behind()}"]


def agent(random: Random) -> dict[str, Any]:
    names = random.sample(sorted(FIELDS), random.randint(1, len(FIELDS)))
    fields = [
        ("apiVersion", "kagent.dev/v1alpha1"),
        ("kind", random.choice(["Agent", "AgentTemplate"])),
        ("metadata", {"name": "one", "labels": {"app": "one", "team": "two"}}),
        ("spec", {name: random.choice(FIELDS[name]) for name in names}),
    ]
    return dict(random.sample(fields, len(fields)))


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False))
def test_any_style_can_be_migrated_once_and_no_comment_is_made_up(random):
    author = Author(random)
    documents = ["\n".join(author.block(agent(random), 0)) for _ in range(random.randint(1, 2))]
    text = "\n---\n".join(documents) + random.choice(["", "\n", "\n\n", "\n# end\n"])
    # What it says afterwards is compared by `migrate` itself, which refuses otherwise.
    found = migrate(text.encode(), "x.yaml")
    assert errors(found.problems) == ()
    assert found.documents == len(documents)
    said = re.findall(r"# comment \d+\.", found.new)
    assert len(said) == len(set(said))
    assert set(said) <= set(re.findall(r"# comment \d+\.", text))
    again = migrate(found.new.encode(), "x.yaml")
    assert (again.new, again.problems) == (found.new, ())
