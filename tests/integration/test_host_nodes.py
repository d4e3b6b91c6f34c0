# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes on the virtual host, as somebody has them who installed the collection and reaches the host by ssh.

Here is what this machine has not: control groups of version 2, systemd, crun, a new podman and all privileges; and an
ordinary user of it can have nodes. It is emulated, so everything takes ten times as long: SLOW says so to our roles.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ..hosts.disk import node_archive, obstacle
from ..hosts.machine import BOOT_SECONDS, Host, bare
from .conftest import OUTERMOST, ROOT, Play, Played
from .stranger import Project, make_project

pytestmark = OUTERMOST

PLAYBOOKS = ROOT / "playbooks"

CLUSTER = "kictest-host"
NODE = f"{CLUSTER}-control-plane-1"
LIMITS = {"memory": "2g", "cpus": 1.9, "pids_limit": 3000}
LIMITED = {f"kic_node_{key}": value for key, value in LIMITS.items()}
SEEN_LIMITS = [str(2 << 30), "190000 100000", "3000"]
"""What the kernel says of them: memory.max, cpu.max and pids.max."""


def gentle(name: str) -> dict[str, Any]:
    """A patch of a static pod, by which an answer that takes long is no reason to restart it, and is seldom asked for once
    it runs: each time it is a connection of its own, and kubeadm's probes of readiness ask every second."""
    patient = {"timeoutSeconds": 60, "failureThreshold": 60}
    seldom = {**patient, "periodSeconds": 60}
    container: dict[str, Any] = {"name": name, "livenessProbe": seldom, "startupProbe": patient}
    if name != "kube-controller-manager":
        container["readinessProbe"] = seldom
    return {"spec": {"containers": [container]}}


ALONE = {"extraArgs": [{"name": "leader-elect", "value": "false"}]}
PATIENT = {
    "extraArgs": [{"name": "heartbeat-interval", "value": "1000"}, {"name": "election-timeout", "value": "10000"}]
}
SLOW: dict[str, Any] = {
    "kic_cluster_timeout": 6000,
    "kic_cluster_configuration": {
        "ClusterConfiguration": {"controllerManager": ALONE, "scheduler": ALONE, "etcd": {"local": PATIENT}}
    },
    "kic_cluster_patches": {
        f"{name}0+strategic.json": gentle(name)
        for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
    },
}
"""The values of a user who has a slow machine."""

ONE_NODE = """\
- name: A node of an ordinary user
  hosts: testhost
  gather_facts: false
  become: true
  become_user: dev
  become_method: ansible.builtin.sudo
  roles:
    - role: nodeforge.kic.kic_node
"""
ONE_MODULE = """\
- name: The same node, without the look that the role begins with
  hosts: testhost
  gather_facts: false
  become: true
  become_user: dev
  become_method: ansible.builtin.sudo
  tasks:
    - name: Start it
      nodeforge.kic.kic_node:
        name: "{{ kic_node_name }}"
        state: started
        wait_timeout: 900
"""
DELEGATION = """\
- name: Controllers of an ordinary user
  hosts: testhost
  gather_facts: false
  tasks:
    - name: Have them
      nodeforge.kic.cgroup_delegation:
        user: dev
        linger: true
"""
LIGHT_CLUSTER = """\
- name: A cluster of one node on which Kubernetes does not run
  hosts: testhost
  gather_facts: false
  become: true
  become_user: "{{ its_user }}"
  become_method: ansible.builtin.sudo
  module_defaults:
    group/nodeforge.kic.kic:
      engine: "{{ its_engine }}"
  tasks:
    - name: Have its network
      nodeforge.kic.oci_network:
        name: "{{ its_name }}"
        cluster: "{{ its_name }}"
      when: its_state == 'present'

    - name: Have its node
      nodeforge.kic.kic_node:
        name: "{{ its_name }}-control-plane-1"
        cluster: "{{ its_name }}"
        role: control-plane
        network: "{{ its_name }}"
        volume: none
        image: "{{ its_image }}"
        command: "{{ its_command }}"
        wait_timeout: 900
      when: its_state == 'present'

    - name: Bring it into its state
      nodeforge.kic.kic_cluster:
        name: "{{ its_name }}"
        image: "{{ its_image }}"
        state: "{{ its_state }}"
"""
SNAPSHOT = """\
- name: A snapshot of the user's cluster
  hosts: testhost
  gather_facts: false
  become: true
  become_user: "{{ its_user }}"
  become_method: ansible.builtin.sudo
  tasks:
    - name: Bring it into its state
      nodeforge.kic.kic_snapshot:
        cluster: "{{ its_name }}"
        name: one
        state: "{{ its_state }}"
        engine: "{{ its_engine }}"
"""
WITHDRAWAL = (
    "mkdir -p /etc/systemd/system/user@.service.d;"
    "printf '[Service]\\nDelegate=\\nDelegate=pids memory\\n' >/etc/systemd/system/user@.service.d/50-seed.conf;"
    "systemctl daemon-reload; systemctl restart user@1000.service"
)
SET_UP_DOCKER = """\
PATH=$PATH:/usr/sbin:/usr/share/docker.io/contrib
dockerd-rootless-setuptool.sh install || systemctl --user enable docker.service
docker context inspect rootless >/dev/null 2>&1 ||
    docker context create rootless --docker host=unix://$XDG_RUNTIME_DIR/docker.sock
docker context use rootless && docker version
"""
"""What an ordinary user types. Debian's docker.io 26.1 keeps docker's tool apart from docker, which it looks for next to itself
when the service runs already, so the rest is left to them."""
FILES = {
    "node.yml": ONE_NODE,
    "snapshot.yml": SNAPSHOT,
    "start.yml": ONE_MODULE,
    "delegation.yml": DELEGATION,
    "light.yml": LIGHT_CLUSTER,
}
AS_USER = "export XDG_RUNTIME_DIR=/run/user/$UID; cd; "
"""How a user of the host begins who comes by ssh, whether or not a session was made of it."""


@pytest.fixture(scope="module")
def project(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Somebody's project with the built collection."""
    made = make_project(tmp_path_factory.mktemp("project"), environment)
    for name, text in FILES.items():
        (made.folder / name).write_text(text)
    return made


LIGHT = ["systemd.mask=kic-images.service"]
"""An argument of systemd's (systemd-debug-generator(8)) by which it does not unpack Kubernetes, which takes minutes here."""
PLATFORMS: list[dict[str, Any]] = [
    {"name": "kictest-one", "memory": "256m"},
    {"name": "kictest-two", "pids_limit": 500},
]


def on(host: Host, project: Project, playbook: str, *arguments: str, ok: bool = True, **variables: Any) -> Played:
    """Run a playbook of the project, or one of the collection by its name, against the host."""
    inventory = project.folder / "testhost.yml"
    # As the checkout has it: several logins fewer for each task.
    inventory.write_text(json.dumps(host.inventory(**{"kic_engine": "podman", "ansible_pipelining": True, **SLOW})))
    return project.play(playbook, "-i", str(inventory), *arguments, ok=ok, kic_hosts="testhost", **variables)


def holdings(host: Host, user: str, program: str) -> dict[str, list[str]]:
    """What the engine of a user holds, next to images."""
    lists = {
        "containers": "ps --all --format '{{.Names}}'",
        "networks": "network ls --format '{{.Name}}'",
        "volumes": "volume ls --format '{{.Name}}'",
    }
    # In one login, which takes as long as what it is for.
    script = " && echo == && ".join(f"{program} {line}" for line in lists.values())
    parts = host.ssh(AS_USER + script, user=user).split("==")
    return {kind: sorted(part.split()) for kind, part in zip(lists, parts, strict=True)}


def seen_limits(host: Host, user: str, name: str, program: str = "podman") -> list[str]:
    """The limits in the node's own control group, as the host's kernel has them: the node sees its own root there."""
    path = f"$(podman inspect --format '{{{{.State.CgroupPath}}}}' {name})"
    if program == "docker":
        # The node's systemd lies in a group of its own below the container's.
        process = f"$(docker inspect --format '{{{{.State.Pid}}}}' {name})"
        path = f"$(sed -n 's,^0::,,p' /proc/{process}/cgroup | sed 's,/init.scope$,,')"
    script = f"group=/sys/fs/cgroup{path}; cat $group/memory.max $group/cpu.max $group/pids.max"
    return host.ssh(AS_USER + script, user=user).splitlines()


def reboot(host: Host) -> None:
    """Boot the host again, and wait until it is another boot that answers."""
    before = host.ssh("cat /proc/sys/kernel/random/boot_id")
    host.ssh("systemctl reboot", check=False)
    deadline = time.monotonic() + BOOT_SECONDS
    while host.ssh("cat /proc/sys/kernel/random/boot_id", check=False) in ("", before):
        assert time.monotonic() < deadline, "the host did not boot again"
        time.sleep(0.5)
    # The kernel boots with one, and udev brings the other, later where nodes start meanwhile.
    while host.ssh("nproc", check=False) != "2":
        assert time.monotonic() < deadline, "the host has one processor"
        time.sleep(0.5)


def refused_for_a_controller(host: Host, project: Project, playbook: str, **asked: Any) -> dict[str, Any]:
    """Play it where the user's manager has not the controller of processors, and see that it says so; the diagnosis."""
    refused = on(host, project, playbook, ok=False, **asked)
    (failed,) = [task["result"] for task in refused.tasks if task["status"] == "failed"]
    diagnosis: dict[str, Any] = failed["diagnosis"]
    assert diagnosis["id"] == "controller_withheld", refused.text
    for word in ("controller cpu ", "user@1000.service withholds", "50-seed.conf"):
        assert word in diagnosis["cause"]
    assert "cgroup_delegation -a user=dev" in diagnosis["fix"]
    assert "already exists" not in refused.text
    return diagnosis


FURTHER = pytest.mark.emulated_cluster(
    "each takes four to thirteen minutes; the hardest of the four is in the full set"
)


@pytest.mark.full("a cluster in the virtual machine takes four to thirteen minutes")
@pytest.mark.alone("with half of the processors the API does not make its own roles in its time, and starts again")
@pytest.mark.parametrize(
    ("program", "user"),
    [
        ("podman", "dev"),
        pytest.param("podman", "root", marks=FURTHER),
        pytest.param("docker", "root", marks=FURTHER),
        pytest.param("docker", "dev", marks=FURTHER),
    ],
)
def test_cluster(testhost: Host, project: Project, node_image: str, program: str, user: str) -> None:
    """From nothing to a Ready node within limits, once more without a change, and back to nothing: rootful as most users
    have it, here with all privileges, and as an ordinary user for whom the same play prepares the host. Their docker is as
    Debian's own tool sets it up, and while a controller is withheld from it, that is said before anything is made."""
    asked: dict[str, Any] = {"kic_cluster_name": CLUSTER, "kic_engine": program}
    if user != "root":
        asked["kic_user"] = user
    if (program, user) == ("docker", "root"):
        # Its service is off, and what it holds cannot be asked before it runs.
        testhost.ssh("! systemctl is-active --quiet docker.service")
        before = {"containers": [], "networks": ["bridge", "host", "none"], "volumes": []}
    else:
        if program == "docker":
            testhost.ssh("loginctl enable-linger dev; systemctl start user@1000.service")
            testhost.ssh(AS_USER + SET_UP_DOCKER, user=user)
        before = holdings(testhost, user, program)
    if (program, user) == ("docker", "dev"):
        testhost.ssh(WITHDRAWAL)
        node = {"kic_node_name": NODE, "kic_node_image": node_image, **LIMITED}
        refused_for_a_controller(testhost, project, "node.yml", kic_engine=program, **node)
        assert holdings(testhost, user, program) == before
    first = on(testhost, project, "nodeforge.kic.site", kic_cluster_node=LIMITS, **asked)
    assert NODE in first.text
    said = testhost.ssh(f"{AS_USER} {program} exec {NODE} kubectl get node {NODE} -o json", user=user)
    conditions = {item["type"]: item["status"] for item in json.loads(said)["status"]["conditions"]}
    assert conditions["Ready"] == "True", conditions
    assert seen_limits(testhost, user, NODE, program) == SEEN_LIMITS
    ((made,),) = (result["cluster"]["nodes"] for result in first.results("kic_cluster"))
    assert all(item["reason"] for item in made["adaptations"]), made["adaptations"]
    again = on(testhost, project, "nodeforge.kic.site", kic_cluster_node=LIMITS, **asked)
    assert again.changed == [], again.text
    if (program, user) == ("podman", "dev"):
        restore(testhost, project, user, **asked)
    gone = on(testhost, project, "nodeforge.kic.teardown", **asked)
    assert gone.changed
    assert holdings(testhost, user, program) == before
    print(
        f"{program} of {user}: Ready after {first.seconds:.0f} s, once more {again.seconds:.0f} s,"
        f" torn down {gone.seconds:.0f} s"
    )


def restore(host: Host, project: Project, user: str, **asked: Any) -> None:
    """Take a snapshot as this user, and bring the cluster back to it."""
    its: dict[str, Any] = {"its_name": asked["kic_cluster_name"], "its_user": user, "its_engine": asked["kic_engine"]}
    kubectl = ("exec", NODE, "kubectl")
    taken = on(host, project, "snapshot.yml", its_state="present", **its).results("kic_snapshot")[-1]
    engine_of(host, user, "podman", *kubectl, "create", "configmap", "after")
    wanted: dict[str, Any] = {
        "kic_cluster_state": "restored",
        "kic_cluster_snapshot": "one",
        "kic_cluster_node": LIMITS,
    }
    restored = on(host, project, "nodeforge.kic.site", **wanted, **asked)
    assert f"restore data of node {NODE}" in restored.results("kic_cluster")[-1]["actions"]
    assert "after" not in engine_of(host, user, "podman", *kubectl, "get", "configmaps")
    assert on(host, project, "snapshot.yml", its_state="absent", **its).changed
    print(f"held still for {taken['gap']} s, restored after {restored.seconds:.0f} s")


CERTIFICATES = "cd /etc/kubernetes && sha256sum admin.conf kubelet.conf pki/*.crt"
READY_SECONDS = 1500


def engine_of(host: Host, user: str, program: str, *command: str, check: bool = True) -> str:
    """Run a command of the user's engine on the host."""
    return host.ssh(AS_USER + " ".join([program, *command]), user=user, check=check)


def wait_for_ready(host: Host, user: str, program: str) -> float:
    """Wait until the node is Ready in this boot of the host, by itself; the seconds since the kernel started."""
    boot = host.ssh("cat /proc/sys/kernel/random/boot_id")
    deadline = time.monotonic() + READY_SECONDS
    while True:
        said = engine_of(host, user, program, "exec", NODE, "kubectl", "get", "node", NODE, "-o", "json", check=False)
        status = json.loads(said)["status"] if said.startswith("{") else {}
        conditions = {item["type"]: item["status"] for item in status.get("conditions", ())}
        # What the API kept of the boot before says Ready too.
        if conditions.get("Ready") == "True" and status["nodeInfo"]["bootID"] == boot:
            return float(host.ssh("cut -d' ' -f1 /proc/uptime"))
        if time.monotonic() > deadline:
            unit = host.ssh(f"journalctl --boot --no-pager _SYSTEMD_UNIT={UNIT} + USER_UNIT={UNIT} + UNIT={UNIT}")
            listed = engine_of(host, user, program, "ps", "--all", check=False)
            raise AssertionError(f"the node is not Ready: {status.get('conditions')}\n{listed}\n{unit}")
        time.sleep(3)


UNIT = f"nodeforge.kic-{CLUSTER}.service"


@pytest.mark.full("two boots of the virtual machine; the unit's text and its life are unit tests")
@pytest.mark.parametrize(("program", "user"), [("podman", "root"), ("podman", "dev"), ("docker", "root")])
def test_nodes_start_at_boot(testhost: Host, project: Project, node_image: str, program: str, user: str) -> None:
    """A node of a cluster runs after a boot without a hand, with the address that it had, and a run finds nothing to do. One
    that was stopped stays stopped, and nothing is left of what started it."""
    if user == "dev":
        testhost.ssh("loginctl enable-linger dev; systemctl start user@1000.service")
    if program == "docker":
        testhost.ssh("systemctl enable --now docker.service")
    asked: dict[str, Any] = {"its_name": CLUSTER, "its_user": user, "its_engine": program, "its_image": node_image}

    def into(state: str) -> list[str]:
        played = on(testhost, project, "light.yml", **asked, its_state=state, its_command=LIGHT)
        found: list[str] = played.results("kic_cluster")[-1]["actions"]
        return found

    def seen(what: str) -> str:
        # docker does not answer yet when ssh does.
        return engine_of(testhost, user, program, "inspect", "--format", f"'{what}'", NODE, check=False)

    address = "{{.State.Status}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    by_daemon = program == "docker"
    policy = [f"update restart policy {NODE}: unless-stopped"]
    assert into("present") == (policy if by_daemon else [f"write boot unit {UNIT}", f"enable boot unit {UNIT}"])
    before, started = seen(address), seen("{{.State.StartedAt}}")
    assert before.startswith("running ")
    # The unit for the boot is no reason for systemd to keep what the node ran in.
    for command in ("stop", "start"):
        engine_of(testhost, user, program, command, NODE)
    assert seen(address) == before
    reboot(testhost)
    deadline = time.monotonic() + READY_SECONDS
    while seen(address) != before:
        assert time.monotonic() < deadline, testhost.ssh("journalctl --boot --no-pager --lines=200")
        time.sleep(2)
    assert seen("{{.State.StartedAt}}") != started
    up = testhost.ssh("cut -d' ' -f1 /proc/uptime")
    print(f"the node of {program} of {user} runs {up} s after the start of the kernel")
    assert into("present") == []

    stop = [f"stop node {NODE}"]
    assert sorted(into("stopped")) == (stop if by_daemon else [f"disable boot unit {UNIT}", *stop])
    reboot(testhost)
    testhost.ssh("timeout 120 systemctl is-system-running --wait", check=False)
    assert seen(address).startswith("exited")
    into("absent")
    left = "find /etc/systemd /home/dev/.config/systemd -name 'nodeforge.kic*'"
    assert testhost.ssh(left, check=False) == ""


@pytest.mark.full("a cluster in the virtual machine and two boots; the unit's text and its life are unit tests")
@pytest.mark.alone("with half of the processors the API does not make its own roles in its time, and starts again")
@pytest.mark.parametrize(
    ("program", "user"),
    [
        ("podman", "root"),
        pytest.param("podman", "dev", marks=FURTHER),
        pytest.param("docker", "root", marks=FURTHER),
    ],
)
def test_reboot(testhost: Host, project: Project, program: str, user: str) -> None:
    """A cluster made with the defaults is Ready after a boot of the host without a hand, with the same address and the same
    certificates; one that was stopped stays stopped; and nothing is left of what started it."""
    asked: dict[str, Any] = {"kic_cluster_name": CLUSTER, "kic_engine": program}
    if user != "root":
        asked["kic_user"] = user
    on(testhost, project, "nodeforge.kic.site", **asked)

    def identity() -> list[str]:
        ask = ("exec", NODE, "kubectl", "get", "node", NODE, "-o", "jsonpath={.status.addresses[0].address}")
        files = ("exec", NODE, "sh", "-c", f"'{CERTIFICATES}'")
        return [engine_of(testhost, user, program, *command) for command in (ask, files)]

    units = "/etc/systemd/system" if user == "root" else f"/home/{user}/.config/systemd/user"
    if program == "podman":
        verified = testhost.ssh(f"systemd-analyze verify {units}/{UNIT} 2>&1 | grep {UNIT} || true")
        assert verified == "", verified
    before = identity()
    begin = time.monotonic()
    reboot(testhost)
    down = time.monotonic() - begin
    ready = wait_for_ready(testhost, user, program)
    assert identity() == before
    again = on(testhost, project, "nodeforge.kic.site", **asked)
    assert again.changed == [], again.text

    on(testhost, project, "nodeforge.kic.site", kic_cluster_state="stopped", **asked)
    reboot(testhost)
    testhost.ssh("systemctl is-system-running --wait", check=False)
    state = engine_of(testhost, user, program, "inspect", "--format", "'{{.State.Status}}'", NODE)
    assert state == "exited"
    on(testhost, project, "nodeforge.kic.teardown", **asked)
    assert testhost.ssh(f"find {units} -name '{UNIT}'") == ""
    print(f"{program} of {user}: ssh after {down:.0f} s, Ready {ready:.0f} s after the start of the kernel")


@pytest.mark.full("some minutes in the virtual machine; one withheld controller is in the quick set")
def test_controller_withdrawn_after_the_look(testhost: Host, project: Project, node_image: str) -> None:
    """The seed's story, the hard way. The node dies and its volume stays; who withholds the controller is named; it is
    repaired, and the same play goes on with that volume. The repair outlives a boot."""
    name = "kictest-withdrawn"
    volume = f"{AS_USER} podman volume inspect --format '{{{{.CreatedAt}}}}' {name}"
    asked: dict[str, Any] = {f"kic_node_{key}": LIMITS[key] for key in ("memory", "pids_limit")}
    asked.update(kic_node_name=name, kic_node_image=node_image, kic_node_wait_timeout=900)
    # Debian's own delegation has what a node cannot do without.
    testhost.ssh("loginctl enable-linger dev; systemctl start user@1000.service")
    # Once as Ansible is by itself, where root hands its files to another user.
    first = on(testhost, project, "node.yml", kic_node_state="present", ansible_pipelining=False, **asked)
    assert len(first.changed) == 3
    made = testhost.ssh(volume, user="dev")

    testhost.ssh(WITHDRAWAL)
    # First what the look says that the role begins with; then what comes of a start before which nobody looks.
    for playbook in ("node.yml", "start.yml"):
        diagnosis = refused_for_a_controller(testhost, project, playbook, **asked)
        assert testhost.ssh(volume, user="dev") == made
    assert "UserNS: cpu controller needs to be delegated" in diagnosis["output"]

    assert on(testhost, project, "delegation.yml").changed
    # The limit of processors is set while it runs: it is an update of podman's.
    asked["kic_node_cpus"] = LIMITS["cpus"]
    started = on(testhost, project, "node.yml", **asked)
    (node,) = started.results("kic_node")
    assert (node["node"]["systemd_state"], node["node"]["failed_units"]) == ("running", [])
    assert testhost.ssh(volume, user="dev") == made
    assert seen_limits(testhost, "dev", name) == SEEN_LIMITS
    assert on(testhost, project, "node.yml", **asked).changed == []

    reboot(testhost)
    (again,) = on(testhost, project, "delegation.yml").results("cgroup_delegation")
    assert again["changed"] is False and again["delegation"]["manager_running"] is True
    assert all(item["delegated"] for item in again["delegation"]["controllers"])
    assert len(on(testhost, project, "node.yml", kic_node_state="absent", **asked).changed) == 3


@pytest.mark.full("some minutes in the virtual machine; platforms on this machine have tests of their own")
def test_platforms_of_an_ordinary_user(testhost: Host, project: Project, node_image: str) -> None:
    """Molecule's platforms without root: both with systemd and their limits, as if the user ran Molecule on that host."""
    testhost.ssh("loginctl enable-linger dev; systemctl start user@1000.service")
    before = holdings(testhost, "dev", "podman")
    # What Molecule runs is played against localhost, which is this user of the host.
    inventory = testhost.inventory(ansible_user="dev")
    inventory["all"]["hosts"] = {"localhost": inventory["all"]["hosts"].pop("testhost")}
    (project.folder / "localhost.yml").write_text(json.dumps(inventory))
    asked: dict[str, Any] = {
        "kic_engine": "podman",
        "kic_node_platforms": [
            {**item, "image": node_image, "command": LIGHT, "wait_timeout": 600} for item in PLATFORMS
        ],
        "kic_node_molecule_name": "kictest-molecule",
        "kic_node_molecule_instance_config": "/home/dev/instance_config.yml",
    }
    created = project.play("nodeforge.kic.molecule_create", "-i", "localhost.yml", **asked)
    names = [item["name"] for item in PLATFORMS]
    for name in names:
        state = f"{AS_USER} podman exec {name} systemctl is-system-running"
        assert testhost.ssh(state, user="dev") == "running", created.text
        assert f"instance: {name}" in testhost.ssh("cat instance_config.yml", user="dev")
    assert seen_limits(testhost, "dev", names[0])[0] == str(256 << 20)
    assert seen_limits(testhost, "dev", names[1])[2] == "500"
    assert (
        project.play("nodeforge.kic.molecule_create", "-i", "localhost.yml", **asked).results("oci_network")[0][
            "actions"
        ]
        == []
    )
    project.play("nodeforge.kic.molecule_destroy", "-i", "localhost.yml", **asked)
    assert holdings(testhost, "dev", "podman") == before


@pytest.mark.full("twenty minutes in the virtual machine; the clean room is a bare Debian in the quick set")
@pytest.mark.alone("with half of the processors the API does not make its own roles in its time, and starts again")
def test_a_bare_machine(play: Play, tmp_path: Path) -> None:
    """From the checkout: a Debian 13 without engine gets one, the image by content, a Ready node, and is free of it again."""
    problem = obstacle()
    if problem is not None:
        pytest.skip(problem)
    node_archive(make=True)
    with bare(tmp_path) as host:
        assert host.ssh("command -v podman docker runc crun iptables nft || true") == ""
        inventory = tmp_path / "inventory.json"
        inventory.write_text(json.dumps(host.inventory(**{"ansible_pipelining": True, **SLOW})))
        asked: dict[str, Any] = {"kic_hosts": "testhost", "kic_image_source": "built", "kic_cluster_name": CLUSTER}
        made = play(PLAYBOOKS / "site.yml", "-i", str(inventory), **asked)
        said = host.ssh(f"podman exec {NODE} kubectl get node {NODE} -o json")
        conditions = {item["type"]: item["status"] for item in json.loads(said)["status"]["conditions"]}
        assert conditions["Ready"] == "True", conditions
        again = play(PLAYBOOKS / "site.yml", "-i", str(inventory), **asked)
        assert again.changed == [], again.text
        foretold = play(PLAYBOOKS / "teardown.yml", "--check", "-i", str(inventory), **asked)
        gone = play(PLAYBOOKS / "teardown.yml", "-i", str(inventory), **asked)
        assert gone.changed == foretold.changed != []
        assert host.ssh("podman ps --all --quiet; podman volume ls --quiet") == ""
        print(f"Ready after {made.seconds:.0f} s, once more {again.seconds:.0f} s, torn down {gone.seconds:.0f} s")
