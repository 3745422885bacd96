"""The list of environment variables is that of the source: what it reads, and which libraries may read more."""

import ast
import fnmatch
from collections.abc import Iterator
from pathlib import Path

import fleetform_runtime
from fleetform_runtime.environment import ENVIRONMENT

SOURCE = Path(fleetform_runtime.__file__).parent
FILES = {
    path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text())
    for path in SOURCE.rglob("*.py")
}


def read(tree: ast.AST) -> Iterator[str]:
    """Yield the variables that code reads by name from `os.environ`."""
    for node in ast.walk(tree):
        named: list[ast.expr] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "getenv" or ast.unparse(node.func.value) == "os.environ":
                named = node.args[:1]
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            named = [node.slice]
        for argument in named:
            yield argument.value if isinstance(argument, ast.Constant) else ast.unparse(argument)


def test_every_variable_that_the_source_reads_is_in_the_list():
    found = {(name, file) for file, tree in FILES.items() for name in read(tree)}
    # `name` stands for PATH and HOME, which a server on stdin and stdout inherits.
    assert {file for name, file in found if name == "name"} == {"tools/mcp/duplex.py"}
    own = {name for name, _ in found} - {"name"}
    proxies = {name for name in own if name.lower().endswith("_proxy")}
    kubelets = {"KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT_HTTPS"}
    assert own - proxies - kubelets == {"FLEETFORM_CONFIG", "WORKFLOW_RUN"}
    assert {file for name, file in found if name in kubelets} == {"code/sandbox.py"}
    own -= kubelets  # the kubelet's, never a spec's
    assert {file for name, file in found if name in proxies} == {"net/proxies.py"}
    for name in (*own, "PATH", "HOME"):
        assert any(fnmatch.fnmatchcase(name, form) for form in ENVIRONMENT), name


def test_only_the_one_client_and_the_probe_open_connections():
    """import-linter holds the imports of modules; this holds what the standard library can do."""
    asking = {file for file, tree in FILES.items() if "urlopen(" in ast.unparse(tree)}
    # The image's own probe asks this host, in a process of its own.
    assert asking == {"probe.py"}
    for file, tree in FILES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "trust_env":
                assert ast.unparse(node.value) == "False", file
    assert ENVIRONMENT["HTTPS_PROXY"] == ("always",)


def test_the_libraries_that_read_more_are_used_where_the_list_says():
    def imports(word: str) -> set[str]:
        return {
            file
            for file, tree in FILES.items()
            for node in ast.walk(tree)
            if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith(word))
            or (
                isinstance(node, ast.Import)
                and any(item.name.startswith(word) for item in node.names)
            )
        }

    assert all(file.startswith("telemetry/") for file in imports("opentelemetry"))
    assert imports("pydantic_ai.providers.bedrock") == {"models/libraries.py"}
    assert imports("boto3") | imports("botocore") == set()
