# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kic_node on podman: from nothing to a system that is up, and what goes wrong on the way."""

from __future__ import annotations

import ipaddress
import json
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .conftest import Client, Predicted

Module = Callable[..., dict[str, Any]]
Names = Callable[[str], str]

# What a machine's podman needs to run a container here, whatever its defaults are.
PLAIN = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--cgroupns", "private")


def runtime() -> tuple[str, ...]:
    """runc where it is there: crun cannot run containers on cgroup version 1."""
    return ("--runtime", "runc") if shutil.which("runc") else ()


def state(podman: Client, name: str) -> str:
    """The engine's word for a container's state."""
    return podman.out("container", "inspect", "--format", "{{.State.Status}}", name)


def identity(podman: Client, name: str) -> str:
    """A container's id."""
    return podman.out("container", "inspect", "--format", "{{.Id}}", name)


def bystander(podman: Client, name: str, image: str, *arguments: str) -> None:
    """A running container that is not ours."""
    command = ["run", "--detach", "--name", name, *PLAIN, *arguments, "--entrypoint", "sleep", image, "infinity"]
    podman.run(*runtime(), *command)


def limits_inside(podman: Client, name: str) -> dict[str, float]:
    """The limits of a running node, from the files of its own control group, version 2 or 1."""
    script = """cd /sys/fs/cgroup
    if [ -e cgroup.controllers ]; then cat memory.max pids.max; cat cpu.max
    else cat memory/memory.limit_in_bytes pids/pids.max; echo $(cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us); fi"""
    memory, pids, quota, period = podman.out("exec", name, "sh", "-c", script).split()
    shown = {"memory": float(memory), "cpus": int(quota) / int(period)}
    return shown if pids == "max" else {**shown, "pids": float(pids)}


@pytest.fixture(scope="module")
def facts(run_module: Module) -> dict[str, Any]:
    """Facts of the engine, asked once as a play does."""
    found: dict[str, Any] = run_module("oci_engine_info")["engine_facts"]
    return found


@pytest.fixture(scope="module")
def network(run_module: Module, module_unique: Names) -> dict[str, Any]:
    """A network of ours with IPv6."""
    name = module_unique("node")
    made: dict[str, Any] = run_module("oci_network", name=name, subnet6="fd4b:6963:7e57::/64")["network"]
    return made


@pytest.fixture
def without_network(node_image: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Options of the plainest node."""
    return {"image": node_image, "volume": "none", "engine_facts": facts}


@pytest.fixture
def common(without_network: dict[str, Any], network: dict[str, Any]) -> dict[str, Any]:
    """Options of a node on our network."""
    return {**without_network, "network": network["name"]}


@pytest.mark.full("some fifteen seconds; the resolved path has unit tests")
def test_mount_below_a_link(
    run_module: Callable[..., dict[str, Any]], podman: Client, unique: Names, common: dict[str, Any], tmp_path: Path
) -> None:
    """A mount below /lib, which is a link in the image as in most, is found where it is; so is each machine's /lib/modules."""
    (tmp_path / "here").write_text("seen")
    name, mounts = unique("node"), [{"source": str(tmp_path), "target": "/lib/kictest"}]
    made = run_module("kic_node", name=name, **{**common, "mounts": mounts})
    assert made.get("failed") is None, made["msg"]
    assert podman.out("exec", name, "cat", "/usr/lib/kictest/here") == "seen"


@pytest.mark.full("half a minute; test_states.py has all states of the module in the quick set")
def test_states(predicted: Predicted, podman: Client, unique: Names, common: dict[str, Any]) -> None:
    """present makes it and leaves it, started and stopped do what they say once, restarted each time."""
    name = unique("node")
    made = predicted("kic_node", name=name, state="present", **common)
    assert made["actions"] == [f"create node {name}"]
    assert state(podman, name) == "created"
    assert predicted("kic_node", name=name, state="present", **common)["changed"] is False
    assert predicted("kic_node", name=name, state="stopped", **common)["changed"] is False
    started = predicted("kic_node", name=name, **common)
    assert started["actions"] == [f"start node {name}"]
    assert started["node"]["ready"] is True and started["node"]["state"] == "running"
    assert podman.out("exec", name, "systemctl", "is-system-running") == started["node"]["systemd_state"]
    assert started["node"]["ip"] in podman.out("exec", name, "cat", "/proc/net/fib_trie")
    assert predicted("kic_node", name=name, **common)["changed"] is False
    first_start = podman.out("container", "inspect", "--format", "{{.State.StartedAt}}", name)
    restarted = predicted("kic_node", name=name, state="restarted", wait=False, **common)
    assert restarted["actions"] == [f"stop node {name}", f"start node {name}"]
    assert podman.out("container", "inspect", "--format", "{{.State.StartedAt}}", name) != first_start
    assert predicted("kic_node", name=name, state="present", **common)["changed"] is False
    assert predicted("kic_node", name=name, state="stopped")["actions"] == [f"stop node {name}"]
    assert state(podman, name) == "exited"
    assert predicted("kic_node", name=name, state="stopped")["changed"] is False
    assert predicted("kic_node", name=name, state="absent")["actions"] == [f"remove node {name}"]
    assert name not in podman.holdings()["containers"]
    assert predicted("kic_node", name=name, state="absent")["changed"] is False


def test_a_node_has_what_was_asked_for(
    predicted: Predicted, run_module: Module, podman: Client, unique: Names, common: dict[str, Any], tmp_path: Path
) -> None:
    """Host name, addresses, mounts, tmpfs, devices, limits, variables and files are so inside; the volume keeps data."""
    name, volume = unique("node"), unique("node")
    (tmp_path / "seen").write_text("from outside")
    run_module("oci_volume", name=volume)
    asked = {
        **common,
        "volume": volume,
        "hostname": "inside",
        "mounts": [{"source": str(tmp_path), "target": "/mnt/in", "read_only": True}],
        "tmpfs": {"/scratch": "size=1m"},
        "devices": ["/dev/null:/dev/kic-null"],
        "ulimits": {"nofile": "1024:2048"},
        "sysctls": {"net.ipv4.ip_local_port_range": "20000 30000"},
        "env": {"KIC_TEST": "two words = one"},
        "files": [{"path": "/etc/kic-test", "content": "a file", "mode": "0600"}],
    }
    made = predicted("kic_node", name=name, **asked)
    assert made["actions"] == [f"create node {name}", f"start node {name}"]

    def inside(*command: str) -> str:
        return podman.out("exec", name, *command)

    assert inside("cat", "/proc/sys/kernel/hostname") == "inside"
    assert inside("cat", "/mnt/in/seen") == "from outside"
    assert podman.run("exec", name, "touch", "/mnt/in/no", check=False).returncode != 0
    assert inside("stat", "--file-system", "--format", "%T %b", "/scratch") == "tmpfs 256"
    assert inside("stat", "--format", "%F", "/dev/kic-null") == "character special file"
    assert inside("sh", "-c", "grep 'Max open files' /proc/1/limits").split()[4] == "2048"
    assert inside("cat", "/proc/sys/net/ipv4/ip_local_port_range").split() == ["20000", "30000"]
    assert "KIC_TEST=two words = one" in inside("sh", "-c", "tr '\\0' '\\n' </proc/1/environ")
    assert inside("stat", "--format", "%a %s", "/etc/kic-test") == "600 6"
    packed = ipaddress.ip_address(made["node"]["ip6"]).packed.hex()
    assert packed in inside("cat", "/proc/net/if_inet6")
    inside("sh", "-c", "echo kept >/var/kic-test")
    replaced = predicted("kic_node", name=name, recreate="on_drift", wait=False, **{**asked, "hostname": "other"})
    assert [action.split()[0] for action in replaced["actions"]] == ["remove", "create", "start"]
    assert inside("cat", "/var/kic-test") == "kept"
    assert replaced["node"]["ip"] == made["node"]["ip"]


@pytest.mark.full("half a minute; limits that change in place are in the quick set")
def test_limits(
    predicted: Predicted, run_module: Module, podman: Client, unique: Names, without_network: dict[str, Any]
) -> None:
    """Limits hold in the kernel, change in place, outlive our stop and start, and come back when podman forgot them."""
    name = unique("node")
    common = {"name": name, "wait": False, **without_network}
    first = predicted("kic_node", memory="256m", cpus=0.5, pids_limit=1000, **common)
    assert limits_inside(podman, name) == {"memory": 256 << 20, "cpus": 0.5, "pids": 1000}
    changed = predicted("kic_node", memory="320m", cpus=1.0, pids_limit=1000, **common)
    assert changed["actions"] == [f"update node {name}: memory = {320 << 20}, cpus = 1.0"]
    assert changed["node"]["id"] == first["node"]["id"]
    assert (changed["node"]["memory"], changed["node"]["cpus"]) == (320 << 20, 1.0)
    now = {"memory": 320 << 20, "cpus": 1.0, "pids": 1000}
    assert limits_inside(podman, name) == now
    assert predicted("kic_node", memory="320m", cpus=1.0, pids_limit=1000, **common)["changed"] is False
    # Without the image only the state is requested: the limits that were changed are kept all the same.
    predicted("kic_node", name=name, state="stopped")
    predicted("kic_node", name=name, state="started", wait=False)
    assert limits_inside(podman, name) == now
    podman.run("stop", "--time", "1", name)
    podman.run("start", name)
    forgot = limits_inside(podman, name) != now
    repaired = predicted("kic_node", memory="320m", cpus=1.0, pids_limit=1000, **common)
    assert repaired["changed"] is forgot
    assert limits_inside(podman, name) == now
    # podman 4.4 and later change a pids limit in place.
    in_place = [int(part) for part in str(without_network["engine_facts"]["version"]).split(".")[:2]] >= [4, 4]
    pids = predicted("kic_node", memory="320m", cpus=1.0, pids_limit=2000, **common)
    assert pids["drift"] == ([] if in_place else [{"field": "pids_limit", "asked": 2000, "found": 1000}])
    assert limits_inside(podman, name)["pids"] == (2000 if in_place else 1000)
    run_module("kic_node", name=name, state="absent")


@pytest.mark.full("ten seconds; the record has unit tests")
def test_what_podman_forgets_is_recorded_and_forgotten_with_the_node(
    run_module: Module, podman: Client, unique: Names, without_network: dict[str, Any]
) -> None:
    """A changed limit of a node that was removed is not given to the next node of its name."""
    name = unique("node")
    common = {"name": name, "state": "present", **without_network}
    run_module("kic_node", memory="256m", **common)
    run_module("kic_node", memory="320m", **common)
    assert run_module("kic_node_info", name=name)["nodes"][0]["memory"] == 320 << 20
    run_module("kic_node", name=name, state="absent")
    run_module("kic_node", memory="256m", **common)
    assert run_module("kic_node_info", name=name)["nodes"][0]["memory"] == 256 << 20
    assert podman.out("container", "inspect", "--format", "{{.HostConfig.Memory}}", name) == str(256 << 20)
    run_module("kic_node", name=name, state="absent")


@pytest.mark.full("half a minute; the story's stop and start compares the port in the quick set")
def test_address_and_port_stay(
    predicted: Predicted, run_module: Module, podman: Client, unique: Names, common: dict[str, Any]
) -> None:
    """A chosen address and port are kept over stop, start and replacement, while others come and go."""
    name, others = unique("node"), [unique("node") for _number in range(2)]
    asked = {"name": name, "wait": False, "publish": [{"port": 80}], **common}
    first = run_module("kic_node", **asked)["node"]
    assert first["publish"][0]["host_port"] > 0
    for other in others:
        run_module("kic_node", name=other, state="present", publish=[{"port": 80}], **common)

    predicted("kic_node", name=name, state="stopped")
    started = predicted("kic_node", **asked)
    assert started["actions"] == [f"start node {name}"]
    assert started["node"]["ip"] == first["ip"]
    replaced = predicted("kic_node", role="other", recreate="on_drift", **asked)
    assert [action.split()[0] for action in replaced["actions"]] == ["remove", "create", "start"]
    assert replaced["node"]["id"] != first["id"]
    for node in (started["node"], replaced["node"]):
        assert (node["ip"], node["ip6"], node["publish"]) == (first["ip"], first["ip6"], first["publish"])
    assert first["ip"] in podman.out("exec", name, "cat", "/proc/net/fib_trie")
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", first["publish"][0]["host_port"]))


@pytest.mark.full("twenty seconds; the choice has unit tests")
def test_what_others_have_is_taken(
    predicted: Predicted,
    run_module: Module,
    podman: Client,
    unique: Names,
    node_image: str,
    network: dict[str, Any],
    common: dict[str, Any],
) -> None:
    """Addresses and ports of others, also of nodes that do not run, are refused by name and never chosen."""
    foreign, ours, name = unique("foreign"), unique("node"), unique("node")
    subnet = ipaddress.ip_network(network["subnet"])
    # The lowest free ones: what would be chosen next.
    used = {item["ip"] for item in run_module("kic_node_info")["nodes"]}
    free = [str(item) for item in subnet.hosts() if str(item) not in used | {network["gateway"]}]
    bystander(podman, foreign, node_image, "--network", network["name"], "--ip", free[0])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        held = run_module("kic_node", name=ours, state="present", publish=[{"port": 80}], **common)["node"]
        assert held["ip"] == free[1]
        for options, condition, words in (
            ({"ip": free[0]}, "address_taken", foreign),
            ({"ip": free[1]}, "address_taken", ours),
            ({"publish": [{"port": 80, "host_port": port}]}, "port_taken", str(port)),
            ({"publish": [{"port": 80, "host_port": held["publish"][0]["host_port"]}]}, "port_taken", "in use"),
        ):
            refused = predicted("kic_node", name=name, state="present", **options, **common)
            assert refused["diagnosis"]["id"] == condition, refused
            assert words in refused["diagnosis"]["cause"]
    assert name not in podman.holdings()["containers"]


@pytest.mark.full("twenty seconds; networks and volumes are made at once in the quick set")
def test_two_runs_at_once(run_module: Module, podman: Client, unique: Names, common: dict[str, Any]) -> None:
    """Nodes that are made at the same time get addresses and ports of their own."""
    names = [unique("node") for _number in range(4)]

    def make(name: str) -> dict[str, Any]:
        return run_module("kic_node", name=name, wait=False, publish=[{"port": 80}], **common)

    with ThreadPoolExecutor(len(names)) as pool:
        results = list(pool.map(make, names))
    assert not [result for result in results if result.get("failed")]
    assert len({result["node"]["ip"] for result in results}) == len(names)
    assert len({result["node"]["ip6"] for result in results}) == len(names)
    assert len({result["node"]["publish"][0]["host_port"] for result in results}) == len(names)
    assert {state(podman, name) for name in names} == {"running"}


@pytest.mark.full("waits for systemd; the verdict has unit tests")
def test_degraded_is_up_with_a_warning(run_module: Module, unique: Names, without_network: dict[str, Any]) -> None:
    """A system with a failed unit is up; a warning and the result name the unit."""
    files = [
        {
            "path": "/etc/systemd/system/kic-test-fails.service",
            "content": "[Service]\nType=oneshot\nExecStart=/bin/false\n",
        },
        {
            "path": "/etc/systemd/system/multi-user.target.d/kic-test.conf",
            "content": "[Unit]\nWants=kic-test-fails.service\n",
        },
    ]
    result = run_module("kic_node", name=unique("node"), files=files, **without_network)
    assert result["node"]["systemd_state"] == "degraded"
    assert result["node"]["ready"] is True
    assert "kic-test-fails.service" in result["node"]["failed_units"]
    assert "kic-test-fails.service" in json.dumps(result["warnings"])


@pytest.fixture
def shell_image(podman: Client, node_image: str, unique: Names) -> Iterator[str]:
    """The node image with an entrypoint that runs what it is given, which ours and kind's do not."""
    name = unique("shell")
    image = f"localhost/{name}:1"
    podman.run("create", "--name", name, *PLAIN, node_image)
    entrypoint = 'ENTRYPOINT ["/usr/local/bin/entrypoint"]'
    podman.run("commit", "--quiet", "--pause=false", "--change", entrypoint, name, image)
    yield image
    podman.run("rmi", "--force", image)


@pytest.mark.full("waits for systemd; test_failures.py kills a node in the quick set")
def test_a_node_that_dies(
    run_module: Module,
    podman: Client,
    unique: Names,
    without_network: dict[str, Any],
    shell_image: str,
    tmp_path: Path,
) -> None:
    """A node that ends on the way fails with its exit code and last lines, is kept, and the next run goes on."""
    name = unique("node")
    script = "test -e /mnt/in/repaired && exec /sbin/init; echo it is broken; exit 3"
    mounts = [{"source": str(tmp_path), "target": "/mnt/in"}]
    asked = {"name": name, "command": ["sh", "-c", script], "mounts": mounts, **without_network, "image": shell_image}
    for _attempt in range(2):
        died = run_module("kic_node", **asked)
        assert died["failed"]
        assert died["diagnosis"]["id"] == "node_died"
        assert "exit code 3" in died["diagnosis"]["cause"]
        assert "it is broken" in died["diagnosis"]["output"]
        assert f"podman rm --force {name}" in died["diagnosis"]["fix"]
        assert state(podman, name) == "exited"
    kept = identity(podman, name)
    (tmp_path / "repaired").touch()
    repaired = run_module("kic_node", **asked)
    assert repaired["actions"] == [f"start node {name}"]
    assert repaired["node"]["ready"] is True
    assert identity(podman, name) == kept


def test_a_failure_before_the_first_start_leaves_nothing(
    run_module: Module, podman: Client, unique: Names, without_network: dict[str, Any]
) -> None:
    """A container that cannot be made or started is not left behind."""
    name = unique("node")
    for options in (
        {"sysctls": {"net.kic.there_is_none": "1"}},
        {"files": [{"path": "/etc/hostname/no", "content": ""}]},
        {"security_opts": ["there-is-no=such-option"]},
        {"runtime": "no-such-runtime"},
    ):
        failed = run_module("kic_node", name=name, wait=False, **options, **without_network)
        assert failed.get("failed"), (options, failed)
        assert name not in podman.holdings()["containers"], (options, failed)


@pytest.fixture
def killing_podman(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """A podman that kills the module that calls it, at one of its commands."""

    def prepare(command: str) -> dict[str, str]:
        real = shutil.which("podman")
        script = tmp_path / "podman"
        script.write_text(f'#!/bin/sh\nif [ "$1" = {command} ]; then kill -9 "$PPID"; exit 1; fi\nexec {real} "$@"\n')
        script.chmod(0o755)
        return {"PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"}

    return prepare


@pytest.mark.parametrize("command", [pytest.param("cp", marks=pytest.mark.full("one command is quick")), "start"])
def test_an_interrupted_run_is_continued(
    predicted: Predicted,
    run_module: Module,
    podman: Client,
    unique: Names,
    without_network: dict[str, Any],
    killing_podman: Callable[[str], dict[str, str]],
    command: str,
) -> None:
    """A run that was killed between create and start is finished by the next one, files and all."""
    name = unique("node")
    files = [{"path": "/etc/kic-test", "content": "a file"}]
    asked = {"name": name, "files": files, "wait": False, **without_network}
    with pytest.raises(AssertionError, match="returned nothing"):
        run_module("kic_node", process_env=killing_podman(command), **asked)
    assert state(podman, name) == "created"
    kept = identity(podman, name)
    finished = predicted("kic_node", **asked)
    assert finished["actions"] == [f"start node {name}"]
    assert identity(podman, name) == kept
    assert podman.out("exec", name, "cat", "/etc/kic-test") == "a file"


@pytest.mark.full("a node; podman's directory for them has unit tests, and arguments are watched in the quick set")
def test_no_copy_of_files_is_left(run_module: Module, unique: Names, without_network: dict[str, Any]) -> None:
    """What is put into a node is nowhere else on the machine afterwards; podman 4.3 leaves it by itself in /var/tmp."""
    secret = f"kictest-{secrets.token_hex(8)}"
    files = [{"path": "/etc/kic-test", "content": secret, "mode": "0600"}]
    result = run_module("kic_node", name=unique("node"), files=files, wait=False, **without_network)
    assert result["changed"] is True
    places = {Path("/var/tmp"), Path(tempfile.gettempdir())}
    # Names of nothing but digits are what Go makes of no name.
    left = [path for place in places for path in place.glob("[0-9]*") if path.is_file()]
    left += [path for place in places for path in place.glob("nodeforge.kic-*/*") if path.is_file()]
    assert not [path for path in left if secret.encode() in path.read_bytes()]


def test_what_is_not_ours(
    predicted: Predicted,
    run_module: Module,
    podman: Client,
    unique: Names,
    node_image: str,
    without_network: dict[str, Any],
) -> None:
    """A foreign container keeps its name, whatever is asked; a foreign network can be joined and stays foreign."""
    name, network = unique("foreign"), unique("foreign")
    podman.run("create", "--name", name, *PLAIN, node_image)
    for asked in (
        {"state": "present"},
        {"state": "started", "recreate": "on_drift"},
        {"state": "restarted"},
        {"state": "absent"},
    ):
        refused = predicted("kic_node", name=name, **asked, **without_network)
        assert refused["diagnosis"]["id"] == ("not_ours" if asked["state"] == "absent" else "name_taken")
        assert name in refused["diagnosis"]["cause"]
    assert state(podman, name) == "created"

    podman.run("network", "create", network)
    joined = run_module("kic_node", name=unique("node"), wait=False, network=network, **without_network)["node"]
    subnet = json.loads(podman.out("network", "inspect", network))[0]["subnets"][0]
    assert ipaddress.ip_address(joined["ip"]) in ipaddress.ip_network(subnet["subnet"])
    assert joined["ip"] != subnet["gateway"]
    assert predicted("oci_network", name=network, state="absent")["diagnosis"]["id"] == "not_ours"


@pytest.mark.full("eight seconds; test_states.py changes states without an image in the quick set")
def test_without_an_image_only_the_state_changes(predicted: Predicted, unique: Names, node_image: str) -> None:
    """A node that is not there needs an image to be made; one that is there needs none for its state."""
    name = unique("node")
    assert predicted("kic_node", name=name, state="absent")["changed"] is False
    predicted("kic_node", name=name, image=node_image, volume="none", state="present", role="worker")
    found = predicted("kic_node", name=name, state="present", role="control-plane")
    assert (found["changed"], found["drift"], found["node"]["role"]) == (False, [], "worker")


@pytest.mark.full("seven seconds; the end of the story lists its nodes so in the quick set, and names have unit tests")
def test_info(run_module: Module, unique: Names, without_network: dict[str, Any]) -> None:
    """kic_node_info finds nodes by their whole name or by cluster, and what belongs to the cluster."""
    cluster, name = unique("cluster"), unique("node")
    longer = f"{name}-2"
    for node in (name, longer):
        run_module("kic_node", name=node, state="present", cluster=cluster, role="worker", **without_network)
    run_module("oci_volume", name=name, cluster=cluster)
    by_name = run_module("kic_node_info", name=name)["nodes"]
    assert [(node["name"], node["cluster"], node["role"], node["state"]) for node in by_name] == [
        (name, cluster, "worker", "created")
    ]
    by_cluster = run_module("kic_node_info", cluster=cluster)
    assert [node["name"] for node in by_cluster["nodes"]] == [name, longer]
    assert by_cluster["clusters"] == [
        {"name": cluster, "nodes": [name, longer], "networks": [], "volumes": [name], "kubeconfigs": []}
    ]
    assert run_module("kic_node_info", cluster=cluster[:-1])["nodes"] == []
