"""What runs in a pod of Argo Workflows, on nodes that are simulated: our `call` as a process, and who tells of it.

The containers that Argo Workflows adds to a pod cannot run. What they do is done here, with the token of the pod's own
account: they say that outputs will come, and what they are; then the pod ends as its main container did.
"""

import json
import ssl
import subprocess
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from runtime.tests.process import COMMAND
from runtime.tests.servers import PATIENCE
from tests.cluster.plane import Object, Plane

GROUP = "workflows.argoproj.io"
ENDED = ("Succeeded", "Failed")


class Done(NamedTuple):
    """How `call` ended: its exit code, and its outputs by name."""

    code: int
    outputs: dict[str, str]


class Executor:
    """The pods of the workflows of a namespace."""

    def __init__(self, plane: Plane, space: str, folder: Path, agents: str, hook: str = "") -> None:
        self.plane, self.space, self.folder, self.agents = plane, space, folder, agents
        folder.mkdir(parents=True)
        self.hook = folder / "hook"
        self.hook.write_text(hook)
        self._tokens: dict[str, str] = {}

    # -- what there is -----------------------------------------------------------------------------

    def run(self, name: str) -> Object:
        """Return a Workflow."""
        (found,) = self.plane.get("workflow", name, "-n", self.space)
        return found

    def phase(self, name: str) -> str:
        """Return the phase of a Workflow, empty before it has one."""
        return str(self.run(name).get("status", {}).get("phase", ""))

    def pods(self, run: str) -> dict[str, Object]:
        """Return the pods of a run that have not ended, by the step that each is for, with the number of its try."""
        found = self.plane.get("pods", "-n", self.space, "-l", f"{GROUP}/workflow={run}")
        return {
            node_of(pod).rpartition(".")[2]: pod
            for pod in found
            if pod["status"].get("phase") not in ENDED
            and "deletionTimestamp" not in pod["metadata"]
        }

    def until(self, run: str, *steps: str) -> list[Object]:
        """Wait until the pods of a run are those of some steps, as its status says too; return them."""
        found: dict[str, Object] = {}

        def go_on() -> bool:
            nonlocal found
            found = self.pods(run)
            nodes = self.run(run).get("status", {}).get("nodes", {})
            running = {node["displayName"] for node in nodes.values() if _runs(node)}
            return found.keys() == running == {*steps}

        self.plane.until(go_on, f"{run}: pods of {steps}", patience=120)
        return [found[step] for step in steps]

    # -- what happens in a pod ---------------------------------------------------------------------

    def calls(self, pod: Object) -> Done:
        """Run what the main container runs, with agents and a webhook on loopback."""
        folder = self.folder / pod["metadata"]["uid"]
        out = folder / "out"
        folder.mkdir()
        given = folder / "given.json"
        template = _template(pod)
        (artifact,) = template["inputs"]["artifacts"]
        given.write_text(artifact["raw"]["data"], "utf-8")
        places = {
            "/etc/fleetform/workflow.json": self._config(pod, folder),
            artifact["path"]: given,
            "/tmp/out": out,
        }
        (main,) = [one for one in pod["spec"]["containers"] if one["name"] == "main"]
        words = [str(places.get(word, word)) for word in main["args"]]
        done = subprocess.run(
            [*COMMAND, *words], capture_output=True, check=False, text=True, timeout=PATIENCE
        )
        (folder / "log").write_text(done.stderr)
        wanted = template.get("outputs", {}).get("parameters", ())
        paths = {one["name"]: out / Path(one["valueFrom"]["path"]).name for one in wanted}
        found = {name: path.read_text("utf-8") for name, path in paths.items() if path.exists()}
        return Done(done.returncode, found)

    def _config(self, pod: Object, folder: Path) -> Path:
        (name,) = [
            volume["configMap"]["name"]
            for volume in pod["spec"]["volumes"]
            if volume["name"] == "config"
        ]
        (item,) = self.plane.get("configmap", name, "-n", self.space)
        document = json.loads(item["data"]["workflow.json"])
        document["agents"] = [
            {"name": one["name"], "url": f"{self.agents}/a2a"} for one in document["agents"]
        ]
        if "notification" in document:
            document["notification"]["url"] = {"file": str(self.hook)}
        path = folder / "workflow.json"
        path.write_text(json.dumps(document), "utf-8")
        return path

    def begins(self, pod: Object) -> None:
        """Say that outputs will come, as the container beside the main one does at its start."""
        kind = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTaskResult"}
        labels = {
            f"{GROUP}/workflow": pod["metadata"]["labels"][f"{GROUP}/workflow"],
            f"{GROUP}/report-outputs-completed": "false",
        }
        metadata = {"name": id_of(pod), "labels": labels}
        try:
            self._tell(pod, "POST", "", {**kind, "metadata": metadata})
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.CONFLICT:  # a pod of the same name may have said so before
                raise

    def reports(self, pod: Object, done: Done) -> None:
        """Say what the outputs are and that they are all, and end the pod."""
        given = [{"name": name, "value": value} for name, value in done.outputs.items()]
        outputs = {"parameters": given, "exitCode": str(done.code)}
        self._tell(pod, "PATCH", id_of(pod), {"outputs": outputs})
        labels = {f"{GROUP}/report-outputs-completed": "true"}
        self._tell(pod, "PATCH", id_of(pod), {"metadata": {"labels": labels}})
        self.ends(pod, done.code)

    def ends(self, pod: Object, code: int) -> None:
        """Say as a kubelet that a pod has ended; the container beside the main one always ends well."""
        states = [
            _ended(container, code if container["name"] == "main" else 0)
            for container in pod["spec"]["containers"]
        ]
        status = {"phase": "Failed" if code else "Succeeded", "containerStatuses": states}
        self.plane.do(
            *("patch", "pod", pod["metadata"]["name"], "-n", self.space, "--subresource=status"),
            *("--type=merge", "-p", json.dumps({"status": status})),
        )

    def performs(self, pod: Object) -> Done:
        """Let a pod do what it is for, from its start to its end."""
        self.begins(pod)
        done = self.calls(pod)
        self.reports(pod, done)
        return done

    def leaves(self, pod: Object, code: int) -> None:
        """Let the main container of a pod end with a code, without having done anything."""
        self.begins(pod)
        self.reports(pod, Done(code, {}))

    def _tell(self, pod: Object, method: str, name: str, body: Object) -> None:
        """Write a result with the rights that the pod has, and no others."""
        account = pod["spec"]["serviceAccountName"]
        if account not in self._tokens:
            made = self.plane.do("create", "token", account, "-n", self.space)
            self._tokens[account] = made.strip()
        login = self.plane.made.login
        merge = "application/merge-patch+json"
        path = f"/apis/argoproj.io/v1alpha1/namespaces/{self.space}/workflowtaskresults/{name}"
        request = urllib.request.Request(
            login["server"] + path.rstrip("/"),
            json.dumps(body).encode(),
            {
                "Authorization": f"Bearer {self._tokens[account]}",
                "Content-Type": merge if method == "PATCH" else "application/json",
            },
            method=method,
        )
        trusted = ssl.create_default_context(cafile=login["certificate-authority"])
        with urllib.request.urlopen(request, timeout=PATIENCE, context=trusted) as answer:
            answer.read()


def node_of(pod: Object) -> str:
    """Return the name of what a pod is for, as RUN.STEP(TRY)."""
    return str(pod["metadata"]["annotations"][f"{GROUP}/node-name"])


def _runs(node: Object) -> bool:
    return node["type"] == "Pod" and node.get("phase") == "Running"


def id_of(pod: Object) -> str:
    """Return the id of what a pod is for."""
    return str(pod["metadata"]["annotations"][f"{GROUP}/node-id"])


def _template(pod: Object) -> Object:
    """Return the template of a pod, filled in, as the containers find it that Argo Workflows adds."""
    (text,) = {
        one["value"]
        for container in pod["spec"]["initContainers"]
        if container["name"] == "init"
        for one in container["env"]
        if one["name"] == "ARGO_TEMPLATE"
    }
    found: Object = json.loads(text)
    return found


def _ended(container: Object, code: int) -> Object:
    reason = "Error" if code else "Completed"
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": {"exitCode": code, "reason": reason}},
    }
