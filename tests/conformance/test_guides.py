"""The guides' commands run as written; those that need a cluster stand in blocks of another kind."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools import ROOT, tool

GUIDES = ("argocd", "chart", "flux", "helm", "kustomize")
TOOLS = ("helm", "kubeconform", "kubectl", "kustomize")
INPUT = ("agents", "charts", "environments", "flux", "kustomize", "rendered")
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("guide", GUIDES)
def test_the_commands_of_a_guide_run_as_written(guide, tmp_path):
    blocks = BLOCK.findall((ROOT / "docs" / f"{guide}.md").read_text("utf-8"))
    assert blocks
    for name in INPUT:
        shutil.copytree(ROOT / name, tmp_path / name)
    places = [Path(sys.executable).parent, *(tool(name).parent for name in TOOLS)]
    variables = {
        "PATH": os.pathsep.join([*map(str, places), os.environ["PATH"]]),
        "HOME": str(tmp_path),
        "SCHEMAS": str(tool("schemas")),
    }
    for block in blocks:
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", block],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            check=False,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout
