# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The main job from nothing to nothing, as a user does it: site.yml, a workload, stop and start, repair, teardown.

The tests of a story stand on each other, in this order. It is told three times: on our own image, on one that offers
kind's node image contract and no more, so that nothing can quietly ask more of an image, and on docker. Docker with the
image of the contract, where nothing is new but the two together, is told in short.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import CONTRACT, ROOT, Client, Play, Played, have_image
from .samples import differences
from .workload import build, manifests

SITE = ROOT / "playbooks" / "site.yml"
TEARDOWN = ROOT / "playbooks" / "teardown.yml"

FOREIGN_KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "preferences": {"colors": True},
    "clusters": [{"name": "work", "cluster": {"server": "https://work.example:6443"}}],
    "users": [{"name": "me", "user": {"token": "kept"}}],
    "contexts": [{"name": "work", "context": {"cluster": "work", "user": "me"}}],
    "current-context": "work",
}
READY = """jsonpath={.status.conditions[?(@.type=="Ready")].status}"""


@dataclass
class Story:
    """One cluster and everything around it."""

    name: str
    image: str
    client: Client
    play: Play
    folder: Path
    before: dict[str, set[str]]
    first: Played | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    rebuilt: list[str] = field(default_factory=list)
    """Images that were made for this story alone."""

    @property
    def node(self) -> str:
        """The control plane's name."""
        return f"{self.name}-control-plane-1"

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig file that already holds something of the user's."""
        return self.folder / "kubeconfig"

    @property
    def variables(self) -> dict[str, Any]:
        """What the user says of this cluster."""
        return {
            "kic_cluster_name": self.name,
            "kic_cluster_image": self.image,
            "kic_image_name": self.image,
            "kic_cluster_kubeconfig": str(self.kubeconfig),
            "kic_engine": self.client.program,
            **self.extra,
        }

    def site(self, *arguments: str, **variables: Any) -> Played:
        """Run site.yml."""
        return self.play(SITE, *arguments, process_env=self.process_env, **{**self.variables, **variables})

    def teardown(self) -> Played:
        """Run teardown.yml; it finds the cluster by its labels on whatever engine it is."""
        return self.play(TEARDOWN, process_env=self.process_env, kic_cluster_name=self.name)

    @property
    def process_env(self) -> dict[str, str]:
        """Where the engine answers, if not at its usual place, and where its client is."""
        return {key: self.client.environment[key] for key in ("DOCKER_HOST", "PATH") if key in self.client.environment}

    def remove_rebuilt(self) -> None:
        """Remove the images that teardown leaves, as it leaves every image."""
        while self.rebuilt:
            self.client.run("image", "rm", self.rebuilt.pop())

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """The node's own kubectl, as site.yml's closing lines show it."""
        interactive = ["--interactive"] if stdin is not None else []
        command = ["exec", *interactive, self.node, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", *arguments]
        return self.client.run(*command, stdin=stdin, check=check).stdout.strip()

    def kubectl_json(self, *arguments: str) -> Any:
        """Its answer, decoded."""
        return json.loads(self.kubectl(*arguments, "-o", "json"))

    def ask(self, url: str, *more: str, method: str = "get", seconds: float = 60, wanted: str = "") -> str:
        """What the client pod gets from a URL.

        A service that is just coming up is asked again. So is one whose address leads to another pod yet: after a start
        of the node the API tells states and addresses of before until kubelet has told it the new ones.
        """
        deadline = time.monotonic() + seconds
        while True:
            done = self.client.run(
                "exec", self.node, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf",
                "exec", "client", "--", "/web", method, url, *more,
                check=False,
            )  # fmt: skip
            if done.returncode == 0 and wanted in done.stdout:
                return done.stdout
            assert time.monotonic() < deadline, f"{url}: {done.stdout}{done.stderr}"
            time.sleep(0.5)

    def wait_for_workload(self) -> None:
        """Until the web server and its client run."""
        self.kubectl("rollout", "status", "deployment/web", "--timeout=120s")
        self.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=120s")


STORIES: dict[str, tuple[str, dict[str, Any]]] = {
    "own": ("podman", {}),
    "contract": ("podman", CONTRACT),
    "docker": ("docker", {}),
}


@contextmanager
def telling(name: str, engine: Client, recipe: dict[str, Any], play: Play, folder: Path) -> Iterator[Story]:
    """A story's beginning, and its end whatever happened on the way."""
    name = f"kictest-{name}-{secrets.token_hex(2)}"
    told = Story(name, "", engine, play, folder, {})
    if engine.program == "docker":
        # Next to it podman's tests choose subnets too.
        told.extra["kic_cluster_network"] = {"pools": ["172.31.0.0/16"]}
    told.image = have_image(play, process_env=told.process_env, kic_engine=engine.program, **recipe)
    # What is not ours and has a name much like ours must be left alone.
    engine.run("volume", "create", f"{name}-control-plane-1-mine")
    engine.run("network", "create", f"{name}-mine")
    told.before = engine.holdings()
    told.kubeconfig.write_text(yaml.safe_dump(FOREIGN_KUBECONFIG))
    told.kubeconfig.chmod(0o640)
    try:
        yield told
    finally:
        told.teardown()
        told.remove_rebuilt()
        engine.run("volume", "rm", f"{name}-control-plane-1-mine")
        engine.run("network", "rm", f"{name}-mine")


SHORT = {
    "test_site_from_nothing",
    "test_results_are_as_documented",
    "test_closing_lines_work",
    "test_kubeconfig",
    "test_second_run_changes_nothing",
    "test_teardown_leaves_nothing",
}
"""The chapters of docker's story that are in the quick set: from nothing to Ready and back."""


def in_full(name: str, chapter: str) -> list[pytest.MarkDecorator]:
    """The markers of a chapter (the name of a test) of a story."""
    if name == "contract":
        return [pytest.mark.full("an image of kind's contract alone; the other stories prove the same on each engine")]
    if name == "docker" and chapter not in SHORT:
        return [pytest.mark.full("the quick set proves it on podman")]
    return []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let each chapter be part of each story, or of those that its marker ``part_of`` names."""
    if "story" not in metafunc.fixturenames:
        return
    named = metafunc.definition.get_closest_marker("part_of")
    names = named.args if named is not None else tuple(STORIES)
    chapter = metafunc.function.__name__
    told = [pytest.param(name, marks=in_full(name, chapter)) for name in names]
    metafunc.parametrize("story", told, indirect=True, scope="module")


@pytest.fixture(scope="module")
def story(request: pytest.FixtureRequest, play: Play, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """One of the stories."""
    engine, recipe = STORIES[request.param]
    folder = tmp_path_factory.mktemp("story")
    with telling(request.param, request.getfixturevalue(engine), recipe, play, folder) as told:
        yield told


def test_check_mode_from_nothing(story: Story) -> None:
    """--check before there is anything does not fail and changes nothing."""
    story.site("--check", "--diff")
    assert story.client.holdings() == story.before


def test_site_from_nothing(story: Story) -> None:
    """site.yml ends with a node that the API calls Ready, and says what to type next."""
    story.first = story.site("--diff")
    node = story.kubectl_json("get", "node", story.node)
    conditions = {item["type"]: item["status"] for item in node["status"]["conditions"]}
    assert conditions["Ready"] == "True"
    closing = story.first.text
    assert story.node in closing
    assert f"{story.client.program} exec {story.node} kubectl get nodes" in closing


RETURNED = ("oci_engine_info", "oci_image", "kic_cluster")


def test_results_are_as_documented(story: Story) -> None:
    """What each module returned has the names and types that its documentation and its samples tell."""
    assert story.first is not None
    for module in RETURNED:
        # What only validates a declaration asks no engine.
        results = [result for result in story.first.results(module) if "engine" in result]
        assert results, module
        found = [line for result in results for line in differences(module, result)]
        assert not found, (module, found)
    (made,) = [result for result in story.first.results("kic_cluster") if result["cluster"]]
    common = {"drift": [], "actions": [], "engine": made["engine"]}
    assert differences("oci_network", {"network": made["cluster"]["network"], **common}) == []
    for node, status in zip(made["cluster"]["nodes"], made["cluster"]["statuses"]):
        assert differences("kic_node", {"node": node, **common}) == []
        assert differences("kic_kubeadm", {"node_status": status, "steps": [], **common}) == []


def test_closing_lines_work(story: Story) -> None:
    """The line that site.yml tells the user to type works as it is written."""
    assert story.node in story.client.out("exec", story.node, "kubectl", "get", "nodes")


def test_kubeconfig(story: Story) -> None:
    """The kubeconfig is private, keeps what the user had, and leads to the API from the host."""
    assert stat.S_IMODE(story.kubeconfig.stat().st_mode) == 0o600
    found = yaml.safe_load(story.kubeconfig.read_text())
    for kind in ("clusters", "users", "contexts"):
        assert FOREIGN_KUBECONFIG[kind][0] in found[kind]  # type: ignore[index]
    assert found["preferences"] == {"colors": True}
    ours = next(item for item in found["clusters"] if item["name"] != "work")
    address, port = ours["cluster"]["server"].removeprefix("https://").split(":")
    assert address == "127.0.0.1"
    listening = json.loads(story.client.out("container", "inspect", story.node))[0]["HostConfig"]["PortBindings"]
    assert listening["6443/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": port}]


@pytest.mark.part_of("own")
def test_image_is_small(story: Story) -> None:
    """Our own image takes less than 0.7 GB in the engine."""
    size = int(story.client.out("image", "inspect", "--format", "{{.Size}}", story.image))
    assert 200e6 < size < 700e6


def test_certificate_names(story: Story) -> None:
    """The API's certificate holds the endpoint's name, the node's name and address and 127.0.0.1; keys are P-256."""
    text = story.client.out(
        "exec", story.node, "openssl", "x509", "-in", "/etc/kubernetes/pki/apiserver.crt", "-noout", "-text"
    )
    node = story.kubectl_json("get", "node", story.node)
    address = next(item["address"] for item in node["status"]["addresses"] if item["type"] == "InternalIP")
    for expected in (f"DNS:{story.node}", f"IP Address:{address}", "IP Address:127.0.0.1", "prime256v1"):
        assert expected in text


def test_workload(story: Story, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A Deployment and a Service answer through the service address and by DNS name from a second pod."""
    archive = tmp_path_factory.mktemp("web") / "web.tar"
    archive.write_bytes(build(archive.parent))
    story.client.run("cp", str(archive), f"{story.node}:/var/lib/kictest-web.tar")
    story.client.run("exec", story.node, "ctr", "-n", "k8s.io", "images", "import", "/var/lib/kictest-web.tar")
    story.kubectl("apply", "-f", "-", stdin=manifests())
    story.wait_for_workload()
    service = story.kubectl_json("get", "service", "web")["spec"]["clusterIP"]
    assert "hello from web-" in story.ask(f"http://{service}/")
    assert "hello from web-" in story.ask("http://web.default.svc.cluster.local/")
    assert "hello from web-" in story.ask("http://web/")
    # It needs the API at its start, and would be started again after 10 s.
    assert restarts(story, "local-path-storage") == [0]


def restarts(story: Story, namespace: str) -> list[int]:
    """How often the containers of a namespace were started again."""
    pods = story.kubectl_json("--namespace", namespace, "get", "pods")["items"]
    return [status["restartCount"] for pod in pods for status in pod["status"]["containerStatuses"]]


@pytest.mark.part_of("own", "docker")
def test_services_outlive_kube_proxy(story: Story) -> None:
    """A kube-proxy that starts next to the rules of the one before keeps those of all services."""
    label = "--selector=k8s-app=kube-proxy"
    service = story.kubectl_json("get", "service", "web")["spec"]["clusterIP"]
    story.kubectl("--namespace=kube-system", "delete", "pod", label, "--wait=true")
    story.kubectl("--namespace=kube-system", "rollout", "status", "daemonset/kube-proxy", "--timeout=60s")
    for _second in range(5):
        time.sleep(1)
        assert "hello from web-" in story.ask(f"http://{service}/")


@pytest.mark.full("a minute and a half; the story has a workload of its own in the quick set")
@pytest.mark.part_of("own")
def test_an_application_by_kubernetes_core(story: Story, environment: dict[str, str], tmp_path: Path) -> None:
    """examples/branch deploys an application into this cluster from an image of the engine, and waits for it."""
    folder = tmp_path / "branch"
    shutil.copytree(ROOT / "examples" / "branch", folder)
    image = f"localhost/kictest/{story.name}:1"
    (tmp_path / "image.tar").write_bytes(build(tmp_path, image))

    def run(playbook: str, *arguments: str) -> str:
        # The cluster of the branch is the story's.
        variables = {
            "branch": story.name.replace("-", "_").upper(),
            "app_image": image,
            "kic_cluster_kubeconfig": str(story.kubeconfig),
        }
        # tools/env leads to an environment that has kubernetes.core.
        command: list[str | Path] = [
            ROOT / "tools/env",
            "collections",
            "env",
            "-C",
            folder,
            "ansible-playbook",
            "-i",
            "inventory.yml",
        ]
        done = subprocess.run(
            [*command, playbook, "-e", json.dumps(variables), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    story.client.run("load", "--input", str(tmp_path / "image.tar"))
    try:
        assert "Bring the cluster into its state" in run(
            "cluster.yml", "--check", "-e", f"kic_image_name={story.image}"
        )
        assert "2 pods of the application are ready" in run("app.yml")
        assert "changed=0" in run("app.yml")
        assert "hello from app-" in story.kubectl("exec", "client", "--", "/web", "get", "http://app/")
        run("app.yml", "-e", "app_state=absent")
        assert story.kubectl("get", "deployment,service", "--selector", "name=app", "-o", "name") == ""
    finally:
        story.client.run("image", "rm", image)


def test_pod_traffic_keeps_its_source(story: Story) -> None:
    """Inside the pod range nothing is masqueraded: the server sees the client pod's own address."""
    pods = story.kubectl_json("get", "pods")["items"]
    addresses = {item["metadata"]["name"].partition("-")[0]: item["status"]["podIP"] for item in pods}
    assert f"to {addresses['client']}:" in story.ask(f"http://{addresses['web']}:8080/")


def test_logs_and_exec(story: Story) -> None:
    """kubectl logs and exec work."""
    assert "serving" in story.kubectl("logs", "deployment/web")
    assert "hello" in story.kubectl("exec", "deployment/web", "--", "/web", "get", "http://127.0.0.1:8080/")


def test_claim_is_bound_by_the_default_class(story: Story) -> None:
    """The claim, which names no class, is bound; its data lies below /var, with affinity to the node."""
    claim = story.kubectl_json("get", "pvc", "data")
    assert claim["status"]["phase"] == "Bound"
    volume = story.kubectl_json("get", "pv", claim["spec"]["volumeName"])
    path = (volume["spec"].get("hostPath") or volume["spec"].get("local"))["path"]
    assert path.startswith("/var/")
    assert story.node in json.dumps(volume["spec"]["nodeAffinity"])
    storage_class = story.kubectl_json("get", "storageclass", claim["spec"]["storageClassName"])
    assert storage_class["volumeBindingMode"] == "WaitForFirstConsumer"


def test_second_run_changes_nothing(story: Story) -> None:
    """Run again: changed=0."""
    again = story.site("--diff")
    assert again.changed == [], again.text
    assert again.stats["localhost"]["changed"] == 0


def test_check_mode_on_the_running_cluster(story: Story) -> None:
    """--check on the running cluster reports no change."""
    checked = story.site("--check", "--diff")
    assert checked.changed == [], checked.text


def test_data_survives_stop_and_start(story: Story) -> None:
    """After stop and start the node is Ready again, with its identity, its claim's data and the same API port."""
    story.ask("http://web/kept", "before the stop", method="put")
    machine_id = story.client.out("exec", story.node, "cat", "/etc/machine-id")
    server = story.kubeconfig.read_text()
    stopped = story.site(kic_cluster_state="stopped")
    assert stopped.changed
    assert story.client.out("container", "inspect", "--format", "{{.State.Status}}", story.node) == "exited"
    story.site()
    story.wait_for_workload()
    assert story.ask("http://web/kept", wanted="before") == "before the stop"
    assert story.client.out("exec", story.node, "cat", "/etc/machine-id") == machine_id
    assert story.kubeconfig.read_text() == server
    # Without it Services have the pods' old addresses for 15 s.
    said = story.client.out("exec", story.node, "journalctl", "--boot", "--unit=kic-leases", "--output=cat")
    for name in ("kube-controller-manager", "kube-scheduler"):
        assert f"released the lease {name} of {story.node}_" in said
    # Once for the start, not because the API was missing.
    assert max(restarts(story, "local-path-storage")) <= 1


@pytest.mark.full("snapshots have tests of their own, with workers and clones, in the area lives")
@pytest.mark.part_of("own")
def test_a_snapshot_is_restored(story: Story, run_module: Callable[..., dict[str, Any]]) -> None:
    """The cluster comes back to what it was, its claim's data included."""
    story.ask("http://web/restored", "of the snapshot", method="put")
    asked = {"cluster": story.name, "name": "kept", "engine": story.client.program}
    taken = run_module("kic_snapshot", **asked)
    assert taken["snapshot"]["nodes"] == [story.node], taken
    try:
        story.ask("http://web/restored", "of later", method="put")
        story.site(kic_cluster_state="restored", kic_cluster_snapshot="kept")
        story.wait_for_workload()
        assert story.ask("http://web/restored", wanted="of the snapshot") == "of the snapshot"
    finally:
        assert run_module("kic_snapshot", state="absent", **asked)["changed"]


def break_pod_network(story: Story) -> str:
    """Remove the CNI configuration."""
    story.client.run("exec", story.node, "sh", "-c", "rm -f /etc/cni/net.d/*")
    return "pod-network"


def break_dns(story: Story) -> str:
    """Remove CoreDNS."""
    story.kubectl("-n", "kube-system", "delete", "deployment", "coredns", "--wait")
    return "coredns"


def break_storage(story: Story) -> str:
    """Remove the StorageClass."""
    name = story.kubectl("get", "storageclass", "-o", "jsonpath={.items[0].metadata.name}")
    story.kubectl("delete", "storageclass", name)
    return "manifest-storage"


def actions(played: Played) -> list[str]:
    """What a run did to the cluster, or would do."""
    return [action for result in played.results("kic_cluster") for action in result["actions"]]


DAMAGES = (break_storage, break_dns, break_pod_network)


@pytest.mark.parametrize(
    "damage",
    [pytest.param(item, marks=pytest.mark.full("half a minute each; the repairs have unit tests")) for item in DAMAGES],
)
@pytest.mark.part_of("own")
def test_each_addon_is_repaired_alone(story: Story, damage: Any) -> None:
    """What was broken is predicted by --check, repaired alone, and then in order."""
    step = damage(story)
    checked = story.site("--check", "--diff")
    repaired = story.site("--diff")
    assert actions(repaired) == actions(checked) == [f"run step {step}"]
    assert checked.changed == repaired.changed
    assert story.site("--check").changed == []


@pytest.mark.part_of("contract", "docker")
def test_addons_are_repaired_together(story: Story) -> None:
    """All that was broken is predicted by --check and repaired in one run, and then in order."""
    broken = sorted(damage(story) for damage in DAMAGES)
    checked = story.site("--check", "--diff")
    repaired = story.site("--diff")
    for played in (checked, repaired):
        assert sorted(actions(played)) == [f"run step {step}" for step in broken]
    assert checked.changed == repaired.changed
    assert story.site("--check").changed == []


@pytest.mark.full("a minute; what is planned meanwhile has unit tests")
@pytest.mark.part_of("own")
def test_api_that_starts(story: Story) -> None:
    """An API server that died a moment ago is waited for; nothing is made again because of it, nor foretold."""
    for arguments in (["--check"], []):
        deadline = time.monotonic() + 60
        # After the first one kubelet may still be about to start it.
        while story.client.run("exec", story.node, "pkill", "-KILL", "kube-apiserver", check=False).returncode != 0:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert story.site(*arguments).changed == []


@pytest.mark.full("half a minute; the action has unit tests")
@pytest.mark.part_of("own")
def test_kubeconfig_entry_is_repaired_alone(story: Story) -> None:
    """An entry that is gone or wrong is written again; nothing else changes."""
    good = yaml.safe_load(story.kubeconfig.read_text())
    broken = yaml.safe_load(story.kubeconfig.read_text())
    for item in broken["clusters"]:
        if item["name"] != "work":
            item["cluster"]["server"] = "https://127.0.0.1:1"
    story.kubeconfig.write_text(yaml.safe_dump(broken))
    checked = story.site("--check", "--diff")
    repaired = story.site("--diff")
    assert checked.changed == repaired.changed
    assert len(repaired.changed) == 1
    assert yaml.safe_load(story.kubeconfig.read_text()) == good


def test_recreated_node_keeps_its_data(story: Story, tmp_path: Path) -> None:
    """A node that is made again for a changed mount comes back Ready with its data."""
    story.extra["kic_cluster_node"] = {"mounts": [{"source": str(tmp_path), "target": "/mnt/added", "read_only": True}]}
    story.extra["kic_cluster_node"]["recreate"] = "on_drift"
    before = story.client.out("container", "inspect", "--format", "{{.Id}}", story.node)
    checked = story.site("--check", "--diff")
    assert story.client.out("container", "inspect", "--format", "{{.Id}}", story.node) == before, checked.text
    done = story.site("--diff")
    assert actions(checked) == actions(done)
    assert story.client.out("container", "inspect", "--format", "{{.Id}}", story.node) != before
    story.wait_for_workload()
    assert story.ask("http://web/kept", wanted="before") == "before the stop"
    assert story.site().changed == []


@pytest.mark.full("two minutes; a recreated node keeps its data in the quick set")
@pytest.mark.part_of("own")
def test_rebuilt_image(story: Story, play: Play, tmp_path: Path) -> None:
    """A node that is made again from a rebuilt image of the same version is Ready with its data, and its volume gets the
    container images of the new one."""
    for role in ("kic_image", "kic_cluster"):
        shutil.copytree(ROOT / "roles" / role / "files", tmp_path / "roles" / role / "files")
    source = tmp_path / "roles/kic_image/files/go/pause/main.go"
    source.write_text(source.read_text() + "\n// Rebuilt.\n\nvar rebuilt = true\n")
    before = story.client.holdings()["images"]
    story.image = have_image(play, kic_image_recipe=str(tmp_path / "roles/kic_image/files"), kic_image_source="built")
    if story.client.holdings()["images"] != before:
        story.rebuilt.append(story.image)
    checked = story.site("--check", "--diff")
    done = story.site("--diff")
    assert actions(checked) == actions(done)
    assert any("create node" in action for action in actions(done))
    story.wait_for_workload()
    assert story.ask("http://web/kept", wanted="before") == "before the stop"
    key = story.client.out("exec", story.node, "cat", "/kind/images/key")
    assert story.client.out("exec", story.node, "cat", "/var/lib/nodeforge.kic/images").startswith(key)
    assert story.site().changed == []


def test_teardown_leaves_nothing(story: Story) -> None:
    """Teardown removes what is ours, found by labels; all else is as it was, the user's kubeconfig too."""
    gone = story.teardown()
    assert gone.changed
    for module in ("kic_node_info", "kic_kubeconfig"):
        for result in gone.results(module):
            assert differences(module, result) == [], module
    story.remove_rebuilt()
    assert story.client.holdings() == story.before
    assert yaml.safe_load(story.kubeconfig.read_text()) == FOREIGN_KUBECONFIG
    assert story.teardown().changed == []
    leftovers = [path for path in Path("/var/lib/nodeforge.kic").rglob("*") if story.name in path.name]
    assert leftovers == [] or os.geteuid() != 0


@pytest.mark.full("a whole cluster; each engine and each image has one in the quick set")
def test_contract_on_docker(docker: Client, play: Play, tmp_path: Path) -> None:
    """From nothing to a node that is Ready, also after a stop, once more without a change, and back to nothing."""
    with telling("both", docker, CONTRACT, play, tmp_path) as story:
        story.site()
        assert story.kubectl("get", "node", story.node, "-o", READY) == "True"
        assert story.site(kic_cluster_state="stopped").changed
        story.site()
        assert story.kubectl("get", "node", story.node, "-o", READY) == "True"
        assert story.site().changed == []
        assert story.teardown().changed
        assert story.client.holdings() == story.before
