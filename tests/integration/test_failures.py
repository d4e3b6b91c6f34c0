# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failures that really happen: each is told with its id, cause and fix, and following the fix ends it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._engine import docker as docker_engine
from ansible_collections.nodeforge.kic.plugins.module_utils._engine import podman as podman_engine

from . import docker_api, small
from .conftest import Client
from .dockerd import Daemon, client_of
from .workload import docker_archive, tar

Module = Callable[..., dict[str, Any]]
Names = Callable[[str], str]


def told(result: dict[str, Any], condition: str, *words: str) -> str:
    """Assert that the failure is of ``condition`` and its cause holds all of ``words``; its fix."""
    assert result.get("failed"), result
    assert result["diagnosis"]["id"] == condition, result["msg"]
    for word in words:
        assert word in result["diagnosis"]["cause"], result["diagnosis"]
    assert result["diagnosis"]["fix"] in result["msg"]
    return str(result["diagnosis"]["fix"])


def follow(fix: str, pattern: str, client: Client) -> None:
    """Type the part of the fix that ``pattern`` finds into a shell, where ``client`` is the engine."""
    found = re.search(pattern, fix)
    assert found, fix
    subprocess.run(found.group(), shell=True, check=True, env=client.environment, stdin=subprocess.DEVNULL)


def fine(result: dict[str, Any]) -> dict[str, Any]:
    """Assert that a module did its work; its result."""
    assert not result.get("failed"), result["msg"]
    return result


def lose_process(podman: Client, name: str) -> None:
    """Kill a container's process and the one that watches it: what a machine that is restored does to both."""
    state = podman.json("container", "inspect", name)[0]["State"]
    for pid in (state["ConmonPid"], state["Pid"]):
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}/exe").is_symlink():
            time.sleep(0.01)


@pytest.mark.full("half a minute; a node killed at its start is in the quick set")
def test_process_lost(run_module: Module, podman: Client, unique: Names, node_image: str) -> None:
    """A node whose process was killed with the one that watched it is no running node, whatever podman says of it."""
    name = unique("lost")
    fine(run_module("oci_volume", name=name))
    asked = {"name": name, "image": node_image, "volume": name}
    fine(run_module("kic_node", wait=False, **asked))
    podman.run("exec", name, "sh", "-c", "echo kept >/var/kic-test")
    lose_process(podman, name)
    assert podman.out("container", "inspect", "--format", "{{.State.Status}}", name) == "running"
    fix = told(run_module("kic_node", **asked), "process_lost", f"podman says that the node {name} runs", "is gone")
    follow(fix, rf"podman rm --force {name} \|\| podman rm --force {name}", podman)
    again = fine(run_module("kic_node", **asked))
    assert again["node"]["ready"] is True
    assert podman.out("exec", name, "cat", "/var/kic-test") == "kept"
    lose_process(podman, name)
    assert fine(run_module("kic_node", name=name, state="absent"))["actions"] == [f"remove node {name}"]
    assert name not in podman.holdings()["containers"]


# Engines as other programs set them up.


@pytest.mark.parametrize("program", ["docker", "podman"])
def test_podman_in_disguise(run_module: Module, podman: Client, tmp_path: Path, program: str) -> None:
    """podman under the name of docker is told as that; podman that talks to a service is refused with its endpoint."""
    real = shutil.which("podman")
    run = Path(tempfile.mkdtemp(prefix="kictest-", dir="/run"))
    endpoint = f"unix://{run}/socket"
    script = tmp_path / program
    with script_on_path(script, f'exec {real} "$@"\n') as path:
        service = subprocess.Popen([str(real), "system", "service", "--time=0", endpoint], env=podman.environment)
        try:
            await_path(run / "socket")
            if program == "docker":
                fix = told(
                    run_module("oci_volume", name="kictest-x", engine="docker", process_env=path), "engine_is_another"
                )
                assert "set engine: podman" in fix
                engines = fine(run_module("oci_engine_info", process_env=path))["engines"]
                assert [(item["name"], item["aliases"], item["default"]) for item in engines] == [
                    ("podman", ["docker"], True),
                    ("docker", [], False),
                ]
                return
            remote = {**path, "CONTAINER_HOST": endpoint}
            fix = told(
                run_module("oci_volume", name="kictest-x", engine="podman", process_env=remote),
                "engine_remote",
                endpoint,
            )
            assert "CONTAINER_HOST" in fix
            fine(run_module("oci_engine_info", engine="podman", process_env=path))
        finally:
            service.kill()
            service.wait()
            shutil.rmtree(run)


@contextmanager
def script_on_path(script: Path, content: str) -> Iterator[dict[str, str]]:
    """A program of the test that stands first on PATH, as what a module gets in its environment."""
    script.write_text(f"#!/bin/sh\n{content}")
    script.chmod(0o755)
    yield {"PATH": f"{script.parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def await_path(path: Path) -> None:
    """Wait until it is there."""
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"there is no {path}"
        time.sleep(0.02)


# A docker whose daemon the test may stop.


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A running dockerd of our own."""
    with Daemon.running(tmp_path_factory.mktemp("docker")) as found:
        yield found


@pytest.fixture
def on_docker(run_module: Module, daemon: Daemon) -> Module:
    """Runs a module on that docker."""

    def run(module: str, **params: Any) -> dict[str, Any]:
        environment = {"DOCKER_HOST": daemon.endpoint, **params.pop("process_env", {})}
        return run_module(module, engine="docker", process_env=environment, **params)

    return run


def test_daemon_stopped(on_docker: Module, daemon: Daemon) -> None:
    """A daemon that was stopped is told with its socket; started again, as the fix says, the same task works."""
    fine(on_docker("oci_volume", name="kictest-a"))
    daemon.stop()
    fix = told(on_docker("oci_volume", name="kictest-b"), "engine_not_running", daemon.endpoint)
    assert "systemctl enable --now docker" in fix
    daemon.start()
    fine(on_docker("oci_volume", name="kictest-b"))
    assert {"kictest-a", "kictest-b"} <= daemon.client.holdings()["volumes"]


@pytest.mark.full("waits for the limit of several calls; the limits have unit tests")
def test_daemon_hung(on_docker: Module, run_module: Module, daemon: Daemon) -> None:
    """A daemon that is there and does not answer ends the task at its limit; the other engine is not held up by it."""
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        begin = time.monotonic()
        fix = told(on_docker("oci_volume", name="kictest-h"), "timed_out", "docker info", "within 20 seconds", "hangs")
        assert "restart docker" in fix and time.monotonic() - begin < 60
        environment = {"DOCKER_HOST": daemon.endpoint}
        found = fine(run_module("oci_engine_info", engine="auto", process_env=environment))
        assert found["engine"] == "podman"
        (docker,) = [item for item in found["engines"] if item["name"] == "docker"]
        assert (docker["usable"], docker["reason"]) == (False, "timed_out")
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    fine(on_docker("oci_volume", name="kictest-h"))


def test_socket_refused(on_docker: Module, daemon: Daemon, tmp_path: Path) -> None:
    """A user who may not open the socket is told so; as a member of its group, as the fix says, they may."""
    client, socket = shutil.which("docker"), daemon.run / "socket"
    # mkdtemp's directory is the owner's alone; /run/docker.sock lies where all may look.
    daemon.run.chmod(0o755)
    tmp_path.chmod(0o755)
    as_user = f'exec setpriv --reuid=65534 --regid=65534 %s env DOCKER_CONFIG=/nonexistent {client} "$@"\n'
    with script_on_path(tmp_path / "docker", as_user % "--clear-groups") as path:
        fix = told(on_docker("oci_volume", name="kictest-c", process_env=path), "socket_denied", daemon.endpoint)
    assert "usermod --append --groups docker" in fix
    with script_on_path(tmp_path / "docker", as_user % f"--groups={socket.stat().st_gid}") as path:
        fine(on_docker("oci_volume", name="kictest-c", process_env=path))


# Not a socket of this machine, and nothing answers there, which is seen at once.
AWAY = "tcp://127.0.0.1:1"


def test_docker_context(run_module: Module, daemon: Daemon, tmp_path: Path) -> None:
    """The context that the user chose is used where it is of this machine, and refused where it is of another."""
    config = {"DOCKER_CONFIG": str(tmp_path)}
    plain = Client(dict(os.environ, **config), "docker")
    for name, endpoint in (("here", daemon.endpoint), ("away", AWAY)):
        plain.run("context", "create", name, "--docker", f"host={endpoint}")
    plain.run("context", "use", "here")
    engines = fine(run_module("oci_engine_info", engine="docker", process_env=config))["engines"]
    assert [item["endpoint"] for item in engines if item["name"] == "docker"] == [daemon.endpoint]
    plain.run("context", "use", "away")
    fix = told(run_module("oci_volume", name="kictest-d", engine="docker", process_env=config), "engine_remote", AWAY)
    assert "the context" in fix


def test_a_second_network_of_the_same_name_is_taken_back(on_docker: Module, daemon: Daemon, tmp_path: Path) -> None:
    """Where another program made a network of our name at the same moment ours goes and the other stays."""
    before, client = daemon.networks(), shutil.which("docker")
    body = '{"Name":"kictest-race","Driver":"bridge","IPAM":{"Config":[{"Subnet":"198.18.7.0/24"}]}}'
    other = f"{sys.executable} {docker_api.__file__} {daemon.run}/socket /v1.41/networks/create '{body}'"
    race = f'{client} "$@" || exit\n[ "$1 $2" != "network create" ] || {other} >&2\n'
    with script_on_path(tmp_path / "docker", race) as path:
        fix = told(on_docker("oci_network", name="kictest-race", subnet6="none", process_env=path), "name_taken")
    (left,) = daemon.networks() - before
    assert json.loads(daemon.client.out("network", "inspect", left))[0]["Labels"] == {}
    follow(fix, r"docker network rm kictest-race", daemon.client)
    fine(on_docker("oci_network", name="kictest-race", subnet6="none"))
    fine(on_docker("oci_network", name="kictest-race", state="absent"))
    assert daemon.networks() == before


@pytest.mark.full("a docker of its own; what is done about them has unit tests")
def test_two_networks_of_one_name(on_docker: Module, daemon: Daemon) -> None:
    """Two networks of one name are told with their ids and neither is touched; with one left the task works."""
    before = daemon.networks()
    fine(on_docker("oci_network", name="kictest-two", subnet6="none"))
    foreign = daemon.make_network("kictest-two", "198.18.8.0/24")
    held = daemon.networks()
    asked: list[tuple[str, dict[str, Any]]] = [
        ("oci_network", {"name": "kictest-two", "subnet6": "none"}),
        ("oci_network", {"name": "kictest-two", "state": "absent"}),
        ("kic_node", {"name": "kictest-two", "image": "localhost/kictest:1", "network": "kictest-two"}),
    ]
    for module, params in asked:
        fix = told(on_docker(module, **params), "network_ambiguous", "2 networks named kictest-two", foreign)
        assert daemon.networks() == held
    follow(fix.replace("rm ID", f"rm {foreign}"), rf"docker network rm {foreign}", daemon.client)
    assert fine(on_docker("oci_network", name="kictest-two", subnet6="none"))["changed"] is False
    fine(on_docker("oci_network", name="kictest-two", state="absent"))
    assert daemon.networks() == before


# A podman whose storage is small.


@pytest.fixture
def small_podman(environment: dict[str, str], tmp_path: Path) -> Iterator[Client]:
    """A podman with a store of its own on a file system of 48 MiB."""
    disk, store = tmp_path / "disk", tmp_path / "store"
    with disk.open("wb") as stream:
        stream.truncate(48 << 20)
    store.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-F", str(disk)], check=True)
    if subprocess.run(["mount", "-o", "loop", str(disk), str(store)], check=False).returncode != 0:
        pytest.skip("this machine mounts no file as a file system")
    run = Path(tempfile.mkdtemp(prefix="kictest-", dir="/run"))
    (tmp_path / "storage.conf").write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{store}"\nrunroot = "{run}"\n')
    try:
        yield Client(dict(environment, CONTAINERS_STORAGE_CONF=str(tmp_path / "storage.conf")))
    finally:
        subprocess.run(["umount", str(store)], check=True)
        shutil.rmtree(run, ignore_errors=True)


def test_storage_full(run_module: Module, small_podman: Client, tmp_path: Path) -> None:
    """A full disk below the storage is foretold, told when it is hit, and no failure any more once there is room."""
    process_env = {"CONTAINERS_STORAGE_CONF": small_podman.environment["CONTAINERS_STORAGE_CONF"]}
    engines = fine(run_module("oci_engine_info", engine="podman", process_env=process_env))["engines"]
    found = next(item for item in engines if item["name"] == "podman")
    assert [item["id"] for item in found["improvements"]] == ["disk_low", "inodes_low"]
    assert str(tmp_path / "store") in found["improvements"][0]["fix"]
    filler = tmp_path / "store" / "filler"
    filler.write_bytes(bytes(30 << 20))
    architecture = fine(run_module("oci_engine_info"))["engine_facts"]["architecture"]
    name, archive = "localhost/kictest-full:1", tmp_path / "image.tar"
    archive.write_bytes(docker_archive(name, tar({"x": (os.urandom(12 << 20), 0o644)}), architecture, {}))
    asked = {"name": name, "source": "archive", "archive": str(archive), "engine": "podman"}
    # Unpacking happens next to the store, so that it is not the machine's /var/tmp that counts.
    process_env["TMPDIR"] = str(tmp_path)
    fix = told(run_module("oci_image", process_env=process_env, **asked), "disk_full", "is full")
    assert "podman system df" in fix
    filler.unlink()
    fine(run_module("oci_image", process_env=process_env, **asked))
    assert small_podman.run("image", "exists", name).returncode == 0


# What a node needs and does not find.


def test_port_taken(run_module: Module, unique: Names, node_image: str) -> None:
    """A port that a program listens on is told before anything is made; with its user gone the task works."""
    name = unique("port")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        asked: dict[str, Any] = {"name": name, "image": node_image, "volume": "none", "state": "present"}
        asked["publish"] = [{"port": 80, "host_port": port}]
        fix = told(run_module("kic_node", **asked), "port_taken", f"the port {port} of 127.0.0.1")
        assert "ss -ltnp" in fix
    fine(run_module("kic_node", **asked))


@pytest.mark.parametrize(
    "engine", ["podman", pytest.param("docker", marks=pytest.mark.full("the quick set proves it on podman"))]
)
def test_address_of_another_machine(
    engine: str, podman: Client, run_module: Module, unique: Names, tmp_path: Path
) -> None:
    """A port cannot be published at an address that this machine does not have: it is refused before anything is made, and
    what the engine itself has to say of it is not taken for a port in use."""
    name, address, image = unique("address"), "203.0.113.9", "localhost/kictest-address:1"
    (tmp_path / "small.tar").write_bytes(small.archive(image))
    with client_of(engine, podman, tmp_path) as client:
        run = partial(run_module, engine=engine, process_env=client.environment, name=name)
        client.run("load", "--input", str(tmp_path / "small.tar"))
        try:
            fine(run("oci_network", subnet6="none"))
            for port in ({}, {"host_port": 45673}):
                asked: dict[str, Any] = {"image": image, "volume": "none", "network": name, "wait": False}
                asked["publish"] = [{"port": 80, "address": address, **port}]
                for check in (True, False):
                    fix = told(run("kic_node", check=check, **asked), "address_not_local", address)
                    assert f"ip address add {address}" in fix
            assert name not in client.holdings()["containers"]
            client.run("create", "--name", name, "--network", name, "--publish", f"{address}:45673:80", image)
            started = client.run("start", name, check=False)
            result = CommandResult((), started.returncode, b"", started.stderr.encode())
            explained = {"podman": podman_engine, "docker": docker_engine}[engine].explain(result, "starting it")
            assert (explained.diagnosis.id, address in explained.diagnosis.cause) == ("address_not_local", True), (
                started
            )
        finally:
            client.run("rm", "--force", name, check=False)
            client.run("network", "rm", name, check=False)
            client.run("image", "rm", "--force", image, check=False)


def test_image_removed(run_module: Module, podman: Client, unique: Names, node_image: str) -> None:
    """An image that was removed since is told; there again, as the fix says, the task works."""
    name = unique("image")
    image = f"localhost/{name}:1"
    asked = {"name": name, "image": image, "volume": "none", "state": "present"}
    podman.run("tag", node_image, image)
    podman.run("untag", node_image, image)
    fix = told(run_module("kic_node", **asked), "image_missing", image)
    assert "nodeforge.kic.oci_image" in fix
    podman.run("tag", node_image, image)
    try:
        fine(run_module("kic_node", **asked))
        run_module("kic_node", name=name, state="absent")
    finally:
        podman.run("untag", node_image, image)


@pytest.mark.full("ten seconds; the comparison has unit tests")
def test_image_of_another_platform(run_module: Module, podman: Client, unique: Names, tmp_path: Path) -> None:
    """A 32-bit image is told as that, before a container is made of it."""
    name = unique("platform")
    image, fitting, archive = f"localhost/{name}:1", f"localhost/{name}:2", tmp_path / "image.tar"
    archive.write_bytes(docker_archive(image, tar({"x": (b"x", 0o644)}), "386", {}))
    podman.run("load", "--quiet", "--input", str(archive))
    try:
        asked = {"name": name, "volume": "none", "state": "present"}
        fix = told(run_module("kic_node", image=image, **asked), "image_platform", "is made for 386")
        machine = fine(run_module("oci_engine_info"))["engine_facts"]["architecture"]
        assert f"name an image that is made for {machine}" in fix
        archive.write_bytes(docker_archive(fitting, tar({"x": (b"x", 0o644)}), machine, {"Cmd": ["/x"]}))
        podman.run("load", "--quiet", "--input", str(archive))
        fine(run_module("kic_node", image=fitting, **asked))
        run_module("kic_node", name=name, state="absent")
    finally:
        podman.run("rmi", "--force", image, fitting, check=False)


def test_subnet_occupied_by_a_route(run_module: Module, podman: Client, unique: Names) -> None:
    """A subnet that this machine routes elsewhere is told with the route; left out, as the fix says, a free one is chosen."""
    name, subnet = unique("route"), "198.18.9.0/24"
    subprocess.run(["ip", "route", "add", "blackhole", subnet], check=True)
    try:
        fix = told(
            run_module("oci_network", name=name, subnet=subnet), "subnet_overlap", f"a route of this host to {subnet}"
        )
        assert fix.startswith("leave subnet out")
        made = fine(run_module("oci_network", name=name, pools=["198.18.8.0/22"]))["network"]
        assert made["subnet"] != subnet
    finally:
        subprocess.run(["ip", "route", "del", "blackhole", subnet], check=True)
    del podman


def test_node_killed_at_start(run_module: Module, podman: Client, unique: Names, node_image: str) -> None:
    """A node that is killed while it starts is told by how it ended, and kept until it is removed as the fix says."""
    name = unique("killed")
    asked = {"name": name, "image": node_image, "volume": "none"}
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run_module, "kic_node", **asked)
        pid = 0
        while pid == 0 and not running.done():
            shown = podman.run("container", "inspect", "--format", "{{.State.Pid}}", name, check=False)
            pid = int(shown.stdout) if shown.returncode == 0 else 0
        os.kill(pid, signal.SIGKILL)
        fix = told(running.result(60), "node_died", f"the node {name} ended with exit code 137")
    follow(fix, rf"podman rm --force {name}", podman)
    assert fine(run_module("kic_node", **asked))["node"]["ready"] is True


@pytest.mark.full("a whole kubeadm init")
def test_broken_kubelet_configuration(run_module: Module, podman: Client, unique: Names, node_image: str) -> None:
    """A kubelet that refuses its configuration is told in its own words; corrected and reset, as the fix says, it comes up."""
    name = unique("kubelet")
    for module, params in (
        ("oci_network", {"subnet6": "none"}),
        ("oci_volume", {}),
        ("kic_node", {"image": node_image, "network": name, "volume": name, "role": "control-plane"}),
    ):
        fine(run_module(module, name=name, cluster=name, **params))
    asked: dict[str, Any] = {"node": name, "cluster": name}
    # kubeadm waits for kubelet four minutes unless it is told otherwise. On a busy machine kubelet takes seconds to say why.
    broken = {
        "InitConfiguration": {"timeouts": {"kubeletHealthCheck": "20s"}},
        "KubeletConfiguration": {"evictionHard": {"nodefs.available": "much"}},
    }
    fix = told(run_module("kic_kubeadm", configuration=broken, **asked), "kubelet_refuses", "quantities must match")
    assert "state: reset" in fix
    fine(run_module("kic_kubeadm", state="reset", **asked))
    made = fine(run_module("kic_kubeadm", **asked))
    assert made["node_status"]["ready"] is True
    del podman
