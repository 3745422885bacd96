"""YAML that readers disagree on, choke on or expand without end: what each document is, and what is said."""

from itertools import pairwise

from tests.fleet import AGENT, API

HEAD = f"{API}\nkind: Agent\nmetadata: {{name: a}}\n"
LETTERS = "abcdefghij"


def _bomb(width: int, levels: int, begin: str = "[x]") -> str:
    """Return anchors of which each unfolds to `width` times the one before."""
    lines = [f"a: &a {begin}"]
    for before, name in pairwise(LETTERS[: levels + 1]):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * width)}]")
    return "\n".join(lines) + "\n"


DOCUMENTS: dict[str, tuple[str | bytes, str]] = {
    "a bomb of nine to the ninth": (_bomb(9, 9), "too-many-nodes"),
    "a bomb of two to the nth": (
        "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)),
        "too-many-nodes",
    ),
    "a bomb of maps": (
        "a0: &a0 {x: y}\n"
        + "".join(f"a{n}: &a{n} {{p: *a{n - 1}, q: *a{n - 1}}}\n" for n in range(1, 30)),
        "too-many-nodes",
    ),
    "a bomb of merge keys": (
        "a0: &a0 {x: y}\n"
        + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 30)),
        "too-many-nodes",
    ),
    "a bomb of long text": (_bomb(9, 9, f'["{"x" * 1000}"]'), "too-many-nodes"),
    "a bomb in one line": ("{" + _bomb(9, 9).strip().replace("\n", ", ") + "}\n", "too-many-nodes"),
    "a map in itself": (f"{HEAD}spec: &a {{tools: *a}}\n", "alias"),
    "a list in itself": (f"{HEAD}spec: {{tools: &a [*a]}}\n", "alias"),
    "two in each other": (f"{HEAD}spec: {{a: &a {{b: &b {{c: *a}}}}, d: *b}}\n", "alias"),
    "an alias of nothing": (f"{HEAD}spec: *nothing\n", "alias"),
    "an alias of another document": (f"{HEAD}spec: &a {{}}\n---\n{HEAD}spec: *a\n", "alias"),
    "an alias as a key": (f"{HEAD}spec: {{a: &a x, *a : y}}\n", "key-not-a-string"),
    "a merge key": (f"{HEAD}spec: {{<<: {{a: b}}}}\n", "ambiguous-scalar"),
    "a merge of an anchor": (f"x: &x {{a: b}}\n{HEAD}spec: {{<<: *x}}\n", "ambiguous-scalar"),
    "Python's tag": (f"{HEAD}spec: !!python/object/apply:os.system [id]\n", "tag"),
    "Python's module": (f"{HEAD}spec: !!python/module:os ''\n", "tag"),
    "Ruby's tag": (f"{HEAD}spec: !ruby/object:Gem::Installer {{i: x}}\n", "tag"),
    "Java's tag": (f'{HEAD}spec: !!javax.script.ScriptEngineManager [["x"]]\n', "tag"),
    "a binary tag": (f"{HEAD}spec: !!binary aGVsbG8=\n", "tag"),
    "a tag of a string": (f"{HEAD}spec: {{systemPrompt: !!str 1}}\n", "tag"),
    "a tag of a set": (f"{HEAD}spec: !!set {{a, b}}\n", "tag"),
    "a tag by its address": (f"{HEAD}spec: !<tag:yaml.org,2002:str> x\n", "tag"),
    "a directive of tags": (f"%TAG ! tag:example.com,2000:\n---\n{HEAD}spec: !x y\n", "tag"),
    "another version of YAML": (f"%YAML 2.0\n---\n{HEAD}", "yaml-syntax"),
    "deep lists": (f"{HEAD}spec: {'[' * 5000}{']' * 5000}\n", "too-deep"),
    "deep maps": (f"{HEAD}spec: {'{a: ' * 5000}x{'}' * 5000}\n", "too-deep"),
    "deep dashes": (f"{HEAD}spec:\n  {'- ' * 5000}a\n", "too-deep"),
    "deep question marks": (f"{HEAD}spec:\n  {'? ' * 5000}a\n", "key-not-a-string"),
    "open brackets": (HEAD + "spec: " + "[" * 100_000, "too-deep"),
    "an integer of 5,000 digits": (f"{HEAD}spec: {{scaling: {'9' * 5000}}}\n", "integer-too-big"),
    "an integer beyond 2^53": (f"{HEAD}spec: {{x: 9007199254740993}}\n", "integer-too-big"),
    "a float of 5,000 digits": (f"{HEAD}spec: {{x: {'9' * 5000}.0}}\n", "not-finite"),
    "not a number": (f"{HEAD}spec: {{x: .nan}}\n", "ambiguous-scalar"),
    "infinity": (f"{HEAD}spec: {{x: -.inf}}\n", "ambiguous-scalar"),
    "a file of a mebibyte": (f"{HEAD}spec: {{systemPrompt: '{'x' * (1 << 20)}'}}\n", "too-big"),
    "a lone surrogate": (f'{HEAD}spec: {{systemPrompt: "\\ud800"}}\n', "yaml-syntax"),
    "half a character": (HEAD.encode() + b"spec: {systemPrompt: \xc3}\n", "not-utf8"),
    "an overlong encoding": (HEAD.encode() + b"spec: {systemPrompt: \xc0\xaf}\n", "not-utf8"),
    "a byte order mark": (b"\xef\xbb\xbf" + AGENT.encode(), "bom"),
    "UTF-32": (AGENT.encode("utf-32"), "bom"),
    "a NUL": (f"{HEAD}spec: {{systemPrompt: a\0b}}\n", "control-character"),
    "a line separator in a bare word": (f"{HEAD}spec: {{a: b\u2028c: d}}\n", "control-character"),
    "a next line": (f"{HEAD}spec: {{a: b}}\u0085x: y\n", "control-character"),
    "a turn of direction in a comment": (f"{HEAD}# \u202e }}{{\nspec: {{}}\n", "hidden-character"),
    "old Macintosh line ends": (AGENT.replace("\n", "\r"), "crlf"),
    "a tab for indentation": (f"{HEAD}spec:\n\tsystemPrompt: x\n", "yaml-syntax"),
    "150,000 documents": ("--- {}\n" * 149_000, "too-many-documents"),
    "aliases deeper than brackets may be": (
        f"{HEAD}spec:\n  a0: &a0 {{x: y}}\n"
        + "".join(f"  a{n}: &a{n} {{x: *a{n - 1}}}\n" for n in range(1, 300)),
        "too-deep",
    ),
    "templates in a long row": (
        AGENT.replace("helper", "other")
        + "  extends: t0\n"
        + "".join(
            f"---\n{API}\nkind: AgentTemplate\nmetadata: {{name: t{n}}}\nspec: {{extends: t{n + 1}}}\n"
            for n in range(1000)
        ),
        "extends-too-deep",
    ),
    "a bomb of templates": (
        AGENT.replace("helper", "other")
        + "  extends: [t0, t0]\n"
        + "".join(
            f"---\n{API}\nkind: AgentTemplate\nmetadata: {{name: t{n}}}\nspec: {{extends: [t{n + 1}, t{n + 1}]}}\n"
            for n in range(40)
        ),
        "extends-too-deep",
    ),
    "200,000 dashes": (HEAD + "spec:\n" + "- x\n" * 200_000, "too-many-nodes"),
    "200,000 anchors": (
        HEAD + "spec: [" + ",".join(f"&a{n} x" for n in range(60_000)) + "]\n",
        "schema-type",
    ),
}

KEYS: dict[str, str] = {
    "twice at the root": f"{HEAD}spec: {{}}\nspec: {{}}\n",
    "twice in flow": f"{HEAD}spec: {{a: 1, a: 2}}\n",
    "twice in block": f"{HEAD}spec:\n  a: 1\n  b: 2\n  a: 3\n",
    "twice, once quoted": f'{HEAD}spec: {{a: 1, "a": 2}}\n',
    "twice, quoted otherwise": f"{HEAD}spec: {{'a': 1, \"a\": 2}}\n",
    "twice by an escape": f'{HEAD}spec: {{a: 1, "\\x61": 2}}\n',
    "twice with the same value": f"{HEAD}spec: {{a: 1, a: 1}}\n",
    "twice, once explicit": f"{HEAD}spec:\n  a: 1\n  ? a\n  : 2\n",
    "thrice": f"{HEAD}spec: {{a: 1, a: 2, a: 3}}\n",
    "twice in a list's item": f"{HEAD}spec: {{tools: [{{name: x, name: y}}]}}\n",
    "twice deep down": f"{HEAD}spec: {{a: {{b: {{c: {{d: 1, d: 2}}}}}}}}\n",
    "twice in the metadata": f"{API}\nkind: Agent\nmetadata: {{name: a, name: b}}\nspec: {{}}\n",
    "kind twice": f"{API}\nkind: Agent\nkind: Tool\nmetadata: {{name: a}}\nspec: {{}}\n",
    "apiVersion twice": f"{API}\n{API}\nkind: Agent\nmetadata: {{name: a}}\nspec: {{}}\n",
    "the empty key twice": f"{HEAD}spec: {{'': 1, \"\": 2}}\n",
    "an integer": f"{HEAD}spec: {{1: a}}\n",
    "a negative integer": f"{HEAD}spec: {{-1: a}}\n",
    "a float": f"{HEAD}spec: {{1.5: a}}\n",
    "true": f"{HEAD}spec: {{true: a}}\n",
    "False": f"{HEAD}spec: {{False: a}}\n",
    "null": f"{HEAD}spec: {{null: a}}\n",
    "a tilde": f"{HEAD}spec: {{~: a}}\n",
    "nothing": f"{HEAD}spec: {{? : a}}\n",
    "a list": f"{HEAD}spec: {{[a]: b}}\n",
    "a map": f"{HEAD}spec: {{{{a: b}}: c}}\n",
    "an empty list": f"{HEAD}spec: {{[]: b}}\n",
    "an alias": f"{HEAD}spec: {{a: &a b, *a : c}}\n",
    "an alias of a map": f"{HEAD}spec: {{a: &a {{}}, *a : c}}\n",
    "a tagged key": f"{HEAD}spec: {{!!int 1: a}}\n",
    "yes": f"{HEAD}spec: {{yes: a}}\n",
    "a time": f"{HEAD}spec: {{12:30: a}}\n",
    "an octal": f"{HEAD}spec: {{012: a}}\n",
}

SCALARS = [
    "y",
    "Y",
    "n",
    "N",
    "yes",
    "Yes",
    "YES",
    "no",
    "No",
    "NO",
    "on",
    "On",
    "ON",
    "off",
    "Off",
    "OFF",
    "00",
    "01",
    "012",
    "-012",
    "08",
    "09",
    "0o17",
    "0O17",
    "+0o7",
    "0x1F",
    "0X1f",
    "-0x1",
    "0b1",
    "0b101",
    "1_000",
    "1__0",
    "1_",
    "-1_0",
    "1_0.5",
    "+.5",
    "-.5",
    "._5",
    "+_1",
    "1e3",
    "1E5",
    "1e-3",
    "1e+3",
    ".5e3",
    "+1e3",
    "1.5e3",
    "1:30",
    "1:30:00",
    "190:20:30.15",
    "-1:30",
    "2026-11-21",
    "2026-1-1T1:00:00",
    "2026-11-21T10:00:00Z",
    "2026-11-21t10:00:00.5+01:00",
    ".nan",
    ".NaN",
    ".NAN",
    ".inf",
    ".Inf",
    "-.INF",
    "+.inf",
    "=",
    "<<",
]
"""Bare words that one version of YAML, or Go's own reader, takes for something else."""
