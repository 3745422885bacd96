"""Read a PromQL expression as far as rules and dashboards use the language, and check its names.

The result of reading is the set of labels that the expression's series carry, so that a label that
no series has, a join of unlike sides or an unknown metric is found where Prometheus would only
answer with nothing. What the reader does not know, it refuses.
"""

import re
from collections.abc import Iterable, Mapping

TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<duration>\[[0-9smhdwy:]+\])
    | (?P<number>[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)
    | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    | (?P<operator>==|!=|>=|<=|=~|!~|[-+*/%^<>=(){},])
    )""",
    re.VERBOSE,
)
AGGREGATIONS = frozenset(("sum", "max", "min", "avg", "count", "topk", "bottomk", "quantile"))
RANGE_FUNCTIONS = frozenset(("rate", "increase", "delta", "max_over_time", "min_over_time"))
FUNCTIONS = frozenset(("abs", "clamp_min", "clamp_max", "vector", "time", "absent"))
PRECEDENCE = (
    frozenset(("or",)),
    frozenset(("and", "unless")),
    frozenset(("==", "!=", ">", "<", ">=", "<=")),
    frozenset(("+", "-")),
    frozenset(("*", "/", "%")),
)
SET_OPERATORS = PRECEDENCE[0] | PRECEDENCE[1]
# What Prometheus and its operator add to every scraped series.
TARGET_LABELS = frozenset(
    ("namespace", "pod", "service", "endpoint", "job", "instance", "container")
)

Labels = frozenset[str]


class PromqlError(Exception):
    """An expression that is wrong or says nothing."""


def families(catalogue: Iterable[Mapping[str, object]]) -> dict[str, Labels]:
    """Give the labels of every series that the metrics of schemas/metrics.json expose."""
    series: dict[str, Labels] = {}
    for metric in catalogue:
        name = str(metric["name"])
        labels = TARGET_LABELS | {str(label["name"]) for label in metric["labels"]}  # type: ignore[attr-defined]
        if metric["type"] == "histogram":
            series |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels}
            series[f"{name}_count"] = labels
        else:
            series[name] = labels
    return series


def read(expression: str, series: Mapping[str, Labels]) -> Labels | None:
    """Give the labels of the result, None for a bare number.

    Raises:
        PromqlError: syntax, a metric or a label that the series lack, sides that cannot match.
    """
    reader = _Reader(_tokens(expression), series)
    labels = reader.binary(0)
    if reader.peek():
        raise PromqlError(f"unexpected {reader.peek()!r}")
    return labels


def _tokens(expression: str) -> list[str]:
    tokens: list[str] = []
    at = 0
    text = expression.rstrip()
    while at < len(text):
        found = TOKEN.match(text, at)
        if not found:
            raise PromqlError(f"unknown token at {text[at : at + 20]!r}")
        tokens.append(found[0].strip())
        at = found.end()
    return tokens


class _Reader:
    def __init__(self, tokens: list[str], series: Mapping[str, Labels]) -> None:
        self.tokens = tokens
        self.series = series
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, *expected: str) -> str:
        token = self.peek()
        if not token or (expected and token not in expected):
            raise PromqlError(f"expected {' or '.join(expected) or 'more'}, found {token!r}")
        self.at += 1
        return token

    def binary(self, level: int) -> Labels | None:
        """Read operators of one precedence, all of them left-associative."""
        if level == len(PRECEDENCE):
            return self.operand()
        left = self.binary(level + 1)
        while self.peek() in PRECEDENCE[level]:
            operator = self.take()
            matched = self.grouping() if self.peek() == "on" else None
            many = self.peek() == "group_left"
            copied = self.copied() if many else frozenset()
            right = self.binary(level + 1)
            joined = self.combine(operator, left, right, matched)
            if copied - (right or frozenset()):
                raise PromqlError(f"the right side lacks {sorted(copied - (right or frozenset()))}")
            left = (left or frozenset()) | copied if many else joined
        return left

    def combine(
        self, operator: str, left: Labels | None, right: Labels | None, on: Labels | None
    ) -> Labels | None:
        if left is None or right is None:
            return right if left is None else left
        if on is not None:
            if not (on <= left and on <= right):
                raise PromqlError(f"{operator} on {sorted(on)}: {sorted(left)}, {sorted(right)}")
            return left if operator in SET_OPERATORS else on
        if operator != "or" and left != right:
            raise PromqlError(f"{operator} joins {sorted(left)} with {sorted(right)}")
        return left & right if operator == "or" else left

    def operand(self) -> Labels | None:
        token = self.peek()
        if token == "(":
            self.take("(")
            inside = self.binary(0)
            self.take(")")
            return inside
        if token[:1].isdigit():
            self.take()
            return None
        return self.named()

    def named(self) -> Labels | None:
        name = self.take()
        if name in AGGREGATIONS:
            return self.aggregation()
        if name in RANGE_FUNCTIONS:
            return self.call(name, ranged=True)
        if name == "histogram_quantile":
            return self.quantile()
        if name == "label_replace":
            return self.label_replace()
        if name in FUNCTIONS:
            return self.call(name, ranged=False)
        return self.selector(name)

    def copied(self) -> Labels:
        """Read `group_left` and the labels that the left side gets of the right one."""
        following = self.tokens[self.at + 1 : self.at + 4]
        is_list = following[:1] == ["("] and following[2:3] in ([","], [")"])
        if not is_list or following[1] in self.series:
            self.take()
            return frozenset()
        return self.grouping()

    def grouping(self) -> Labels:
        self.take("by", "on", "group_left")
        self.take("(")
        names: set[str] = set()
        while self.peek() != ")":
            names.add(self.take())
            if self.peek() == ",":
                self.take(",")
        self.take(")")
        return frozenset(names)

    def aggregation(self) -> Labels:
        by = self.grouping() if self.peek() == "by" else None
        self.take("(")
        inside = self.binary(0)
        while self.peek() == ",":
            self.take(",")
            inside = self.binary(0)
        self.take(")")
        by = self.grouping() if by is None and self.peek() == "by" else by or frozenset()
        if inside is None or not by <= inside:
            raise PromqlError(f"no series has {sorted(by - (inside or frozenset()))}")
        return by

    def call(self, name: str, *, ranged: bool) -> Labels | None:
        self.take("(")
        inside = None
        while self.peek() != ")":
            argument = self.binary(0)
            inside = argument if inside is None else inside
            if ranged and not self.tokens[self.at - 1].startswith("["):
                raise PromqlError(f"{name} wants a range")
            if self.peek() == ",":
                self.take(",")
        self.take(")")
        return inside

    def quantile(self) -> Labels:
        self.take("(")
        self.binary(0)
        self.take(",")
        inside = self.binary(0)
        self.take(")")
        if inside is None or "le" not in inside:
            raise PromqlError("histogram_quantile without le")
        return inside - {"le"}

    def label_replace(self) -> Labels:
        self.take("(")
        inside = self.binary(0)
        words = []
        while self.peek() == ",":
            self.take(",")
            words.append(self.take().strip("\"'"))
        self.take(")")
        target, _, source, _ = words
        if inside is None or (source and source not in inside):  # without one it sets a constant
            raise PromqlError(f"no series has {source}")
        return inside | {target}

    def selector(self, name: str) -> Labels:
        if name not in self.series:
            raise PromqlError(f"no metric is called {name}")
        labels = self.series[name]
        if self.peek() == "{":
            self.matchers(name, labels)
        if self.peek().startswith("["):
            self.take()
        return labels

    def matchers(self, name: str, labels: Labels) -> None:
        self.take("{")
        while self.peek() != "}":
            label = self.take()
            if label not in labels:
                raise PromqlError(f"{name} has no label {label}")
            self.take("=", "!=", "=~", "!~")
            if self.take()[0] not in "\"'":
                raise PromqlError(f"{label} is matched with no string")
            if self.peek() == ",":
                self.take(",")
        self.take("}")
