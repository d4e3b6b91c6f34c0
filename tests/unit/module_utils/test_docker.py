# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docker's answers as they were recorded, and the commands that are made for it."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandNotFound, CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._core.labels import CLUSTER
from ansible_collections.nodeforge.kic.plugins.module_utils._engine import docker
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.docker import (
    Docker,
    check_info,
    create_arguments,
    decode_container,
    decode_image,
    decode_info,
    decode_network,
    decode_volume,
    explain,
    full_name,
    is_loopback,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import (
    Attached,
    EngineInfo,
    Limits,
    Mount,
    Network,
    NewContainer,
    Offered,
    Publication,
    Range,
    Volume,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.proxy import without_proxy
from ansible_collections.nodeforge.kic.plugins.module_utils._host.machine import architecture_of
from ansible_collections.nodeforge.kic.plugins.module_utils._host.process import Mounted
from ansible_collections.nodeforge.kic.tests.unit.module_utils import support
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import (
    DOCKER,
    OURS,
    TableRunner,
    engine_info,
    fails,
    recorded_errors,
    said,
)

ERRORS = recorded_errors(DOCKER)
KIC_IMAGE = "localhost/nodeforge/kic-node:v1.35.4-48f239c0d95e"
NODE = "kictest-dk-control-plane-1"
NOT_RUNNING = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
DENIED = (
    "Got permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get"
    ' "http://%2Fvar%2Frun%2Fdocker.sock/v1.24/info": dial unix /var/run/docker.sock: connect: permission denied'
)


def recorded(name: str) -> Any:
    """A recorded answer of docker."""
    return support.recorded(name, DOCKER)


NODE_ID = recorded("container-inspect-running.json")[0]["Id"]
NETWORK_ID = recorded("network-inspect.json")[0]["Id"]


def raw(name: str) -> CommandResult:
    """A recorded answer as docker gave it."""
    return said(json.dumps(recorded(name)))


def facts() -> EngineInfo:
    """The facts of the docker that was recorded."""
    return decode_info(recorded("info.json"))


def engine(**table: CommandResult | Exception) -> tuple[Docker, TableRunner]:
    """A docker whose answers are in the table by how the command begins, with _ for a space."""
    # The image of the recorded containers, which are of a release that named it in no label.
    known = {
        "image inspect": raw("image-inspect.json"),
        **{key.replace("_", " "): answer for key, answer in table.items()},
    }
    runner = TableRunner({f"docker {key}": answer for key, answer in known.items()})
    return Docker(runner, facts()), runner


@pytest.fixture(autouse=True)
def local_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no endpoint of the environment change what docker is, and let its daemon's program be there."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(docker, "has_program", lambda _name: True)
    monkeypatch.setattr(docker, "runtimes", lambda: ("crun",))


# Recorded answers.


def test_info() -> None:
    """The facts of docker 20.10 on Debian 12 are read from its own words, runtimes also from the machine."""
    found = facts()
    assert (found.name, found.version, found.rootless) == ("docker", "20.10.24+dfsg1", False)
    assert (found.cgroup_version, found.cgroup_manager, found.cgroup_controllers) == (1, "cgroupfs", ())
    assert (found.network_backend, found.runtime) == ("bridge", "runc")
    assert found.runtimes == ("crun", "io.containerd.runc.v2", "io.containerd.runtime.v1.linux", "runc")
    assert (found.storage_driver, found.storage_filesystem) == ("overlay2", "extfs")
    assert found.storage_path == "/var/lib/docker"
    assert (found.architecture, found.cpus, found.memory) == ("amd64", 2, 25276502016)
    assert (found.selinux, found.apparmor) == (False, False)
    assert EngineInfo.from_dict(json.loads(json.dumps(found.as_dict()))) == found


def test_info_of_another_docker() -> None:
    """What protects a docker, who runs it and the kernel's version of control groups are read from its words."""
    options = ["name=apparmor", "name=seccomp,profile=builtin", "name=selinux", "name=rootless", "name=cgroupns"]
    found = decode_info({**recorded("info.json"), "SecurityOptions": options, "CgroupVersion": "2"})
    assert (found.rootless, found.selinux, found.apparmor, found.cgroup_version) == (True, True, True, 2)
    few = decode_info({"ServerVersion": "20.10.0", "SecurityOptions": None, "DriverStatus": None, "Runtimes": None})
    assert (few.version, few.cgroup_version, few.runtimes, few.cpus) == ("20.10.0", 1, ("crun",), 0)


@pytest.mark.parametrize(
    ("answer", "there", "path"),
    [
        ({"Containerd": {"Address": "/run/containerd/containerd.sock"}}, [], "/var/lib/containerd"),
        ({"Containerd": {"Address": "/var/run/docker/containerd/containerd.sock"}}, [], "/srv/containerd/daemon"),
        # docker 26 and before do not say whose containerd it is.
        ({}, ["/var/lib/containerd", "/srv/containerd/daemon"], "/srv/containerd/daemon"),
        ({}, ["/var/lib/containerd"], "/var/lib/containerd"),
        ({}, [], "/srv"),
        ({"DriverStatus": [["Backing Filesystem", "xfs"]]}, ["/srv/containerd/daemon"], "/srv"),
    ],
)
def test_storage_of_containerd(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], there: list[str], path: str
) -> None:
    """With containerd's image store layers lie in containerd's directory; docker names no file system, the kernel does."""
    folders = {f"{folder}/io.containerd.snapshotter.v1.overlayfs" for folder in there}
    monkeypatch.setattr(os.path, "isdir", folders.__contains__)
    kinds = {"/": "ext4", "/srv": "btrfs"}
    table = {target: Mounted(target, kind, False) for target, kind in kinds.items()}
    monkeypatch.setattr(docker, "mounts", lambda _pid: table)
    status = {"Driver": "overlayfs", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}
    found = decode_info({**recorded("info.json"), "DockerRootDir": "/srv", **status, **answer})
    assert found.storage_path == path
    assert found.storage_filesystem == ("xfs" if "DriverStatus" in answer else kinds["/srv" if "srv" in path else "/"])


@pytest.mark.parametrize(
    ("name", "found"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("armv7l", "arm"), ("riscv64", "riscv64")]
)
def test_architecture(name: str, found: str) -> None:
    """docker names architectures as the kernel does; images name them otherwise."""
    assert architecture_of(name) == found


@pytest.mark.parametrize("version", ["20.10.24+dfsg1", "20.10.0", "23.0.1", "28.2.2", "100.0", "dev"])
def test_releases_that_are_supported(version: str) -> None:
    """Versions are compared by number."""
    check_info(replace(facts(), version=version))


@pytest.mark.parametrize("version", ["19.03.15", "20.9.1", "1.13.1"])
def test_releases_that_are_too_old(version: str) -> None:
    """A docker that cannot hold nodes is refused with its reason."""
    found = {**recorded("info.json"), "ServerVersion": version}
    with fails("engine_too_old", f"docker {version} is older than 20.10", "upgrade docker to 20.10 or later"):
        assert Docker(TableRunner({"docker info": said(json.dumps(found))})).info


def test_remapped_users_are_refused() -> None:
    """A daemon with userns-remap can hold no nodes, and says of itself that it has it."""
    found = recorded("info.json")
    found = {**found, "SecurityOptions": [*found["SecurityOptions"], "name=userns"]}
    with fails("userns_remapped", "userns-remap", "/etc/docker/daemon.json"):
        assert Docker(TableRunner({"docker info": said(json.dumps(found))})).info


def test_info_is_asked_once() -> None:
    """docker is asked for its facts when first needed, once, and not where they were handed in."""
    runner = TableRunner({"docker info": raw("info.json")})
    asked = Docker(runner)
    assert asked.info is asked.info
    assert runner.commands == ["docker info --format {{json .}}"]
    handed, untouched = engine()
    assert handed.info.version == "20.10.24+dfsg1"
    assert untouched.commands == []


def without_daemon(words: str) -> CommandResult:
    """What the client says by itself, as JSON, where no daemon answered it."""
    return said(json.dumps({"ServerErrors": [words], "ClientInfo": {"Context": "default"}}), rc=1, err=words)


@pytest.mark.parametrize("rc", [0, 1], ids=["success", "failure"])
@pytest.mark.parametrize(
    ("words", "daemon", "condition", "told"),
    [
        (NOT_RUNNING, True, "engine_not_running", "nothing answers at unix:///var/run/docker.sock: "),
        (NOT_RUNNING, False, "engine_not_installed", "docker is not installed"),
        (DENIED, True, "socket_denied", "unix:///var/run/docker.sock refuses them"),
        (DENIED, False, "socket_denied", "usermod --append --groups docker USER"),
        ("Error response from daemon: boom", False, "engine_failed", "asking docker for its facts (exit code 1)"),
    ],
    ids=["not running", "not installed", "denied", "denied, daemon elsewhere", "anything else"],
)
def test_info_without_daemon(
    monkeypatch: pytest.MonkeyPatch, rc: int, words: str, daemon: bool, condition: str, told: str
) -> None:
    """A daemon that does not answer is told by the client's words, whatever its exit code; one that is no program of
    this machine is not installed."""
    monkeypatch.setattr(docker, "has_program", lambda name: daemon and name == "dockerd")
    runner = TableRunner({"docker info": replace(without_daemon(words), rc=rc)})
    with fails(condition, told, words):
        assert Docker(runner).info


def test_info_by_words_only() -> None:
    """A client that says it in words only is understood too, and an answer that cannot be read is shown."""
    with fails("engine_not_running", NOT_RUNNING):
        assert Docker(TableRunner({"docker info": said(rc=1, err=NOT_RUNNING)})).info
    with fails("engine_failed", "template parsing error"):
        assert Docker(TableRunner({"docker info": said(rc=64, err="template parsing error")})).info
    with fails("engine_failed", "{broken"):
        assert Docker(TableRunner({"docker info": said("{broken")})).info


def test_docker_is_not_installed() -> None:
    """Without its client docker is not installed."""
    runner = TableRunner({"docker": CommandNotFound("docker")})
    with fails("engine_not_installed", "docker is not installed", "apt-get install docker"):
        assert Docker(runner).info


def test_podman_under_the_name_of_docker() -> None:
    """podman that is called docker (podman-docker) answers by its own keys, and is to be asked by its own name."""
    runner = TableRunner({"docker info": said(json.dumps(support.recorded("info.json")))})
    with fails("engine_is_another", "leads to podman: it is podman under another name", "set engine: podman"):
        assert Docker(runner).info


@pytest.mark.parametrize("endpoint", ["tcp://10.0.0.1:2376", "ssh://root@build.example"])
def test_remote_docker_is_refused(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """A daemon of another machine is refused, whose kernel cannot be looked at."""
    monkeypatch.setenv("DOCKER_HOST", endpoint)
    with fails("engine_remote", f"docker is set up to talk to {endpoint}", "take DOCKER_HOST"):
        assert Docker(TableRunner({"docker info": raw("info.json")})).info


@pytest.mark.parametrize("context", ["default", "away"])
def test_remote_docker_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, context: str) -> None:
    """That a daemon of another machine does not answer is no reason to start one here."""
    endpoint = "tcp://10.0.0.1:2375"
    words = f"Cannot connect to the Docker daemon at {endpoint}. Is the docker daemon running?"
    answer = said(json.dumps({"ServerErrors": [words], "ClientInfo": {"Context": context}}), rc=1)
    if context == "default":
        monkeypatch.setenv("DOCKER_HOST", endpoint)
    runner = TableRunner({"docker info": answer, "docker context inspect": said(f"{endpoint}\n")})
    with fails("engine_remote", endpoint):
        assert Docker(runner).info


def test_docker_by_its_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket of this machine is accepted, and goes before a context."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/user/1000/docker.sock")
    found = recorded("info.json")
    found["ClientInfo"]["Context"] = "another"
    runner = TableRunner({"docker info": said(json.dumps(found))})
    assert Docker(runner).info.name == "docker"
    assert len(runner.commands) == 1


def test_context() -> None:
    """A context that is not the default is asked for its endpoint, which must be of this machine."""
    found = recorded("info.json")
    found["ClientInfo"]["Context"] = "another"
    table = {"docker info": said(json.dumps(found)), "docker context inspect": said("unix:///run/x.sock\n")}
    runner = TableRunner(table)
    assert Docker(runner).info.name == "docker"
    assert runner.commands[1] == "docker context inspect --format {{.Endpoints.docker.Host}}"
    with fails("engine_remote", "tcp://10.0.0.1:2375", "the context"):
        assert Docker(TableRunner({**table, "docker context inspect": said("tcp://10.0.0.1:2375\n")})).info


def test_network() -> None:
    """A network of both IP versions is read with its MTU and labels; host has no addresses."""
    found = {item.name: item for item in map(decode_network, recorded("network-inspect.json"))}
    ours = found["kictest-dk"]
    assert (ours.id, ours.driver, ours.mtu) == (NETWORK_ID, "bridge", 1400)
    assert ours.ranges == (
        Range.of("192.168.128.0/24", "192.168.128.1"),
        Range.of("fd43:2b27:2a66:bb3b::/64", "fd43:2b27:2a66:bb3b::1"),
    )
    assert ours.labels == {"nodeforge.kic.cluster": "kictest-dk", "nodeforge.kic.schema": "1"}
    default = found["bridge"]
    assert default.ranges == (Range.of("172.17.0.0/16", None),)
    assert (default.mtu, default.labels) == (1500, {})
    assert (found["host"].driver, found["host"].ranges, found["host"].mtu) == ("host", (), None)


def test_network_of_other_forms() -> None:
    """20.10 also writes an IPv6 gateway with its prefix length; what is null is nothing."""
    found = recorded("network-inspect.json")[0]
    found["IPAM"]["Config"] = [{"Subnet": "fd00::/64", "Gateway": "fd00::1/64"}, {"IPRange": "10.0.0.0/8"}]
    assert decode_network(found).ranges == (Range.of("fd00::/64", "fd00::1"),)
    found.update(IPAM={"Config": None}, Options=None, Labels=None)
    empty = decode_network(found)
    assert (empty.ranges, empty.mtu, empty.labels) == ((), None, {})


def test_volume() -> None:
    """A volume is read with its place, labels and options."""
    found = decode_volume(recorded("volume-inspect.json")[0])
    assert (found.name, found.driver, found.options) == (NODE, "local", {})
    assert found.mountpoint == f"/var/lib/docker/volumes/{NODE}/_data"
    assert found.labels["nodeforge.kic.cluster"] == "kictest-dk"


def test_image() -> None:
    """An image is read with its names and configuration; one that no registry gave has no digests."""
    found = decode_image(recorded("image-inspect.json")[0])
    assert found.id == "cbc9ad2ea45d7f5c6a45a1a541a8ebba30cfd49f85c1a7aa39c8420ae7430db9"
    assert (found.tags, found.digests) == ((KIC_IMAGE,), ())
    assert (found.size, found.architecture) == (510017587, "amd64")
    assert found.labels["nodeforge.kic.image.kubernetes-version"] == "v1.35.4"
    assert "container=docker" in found.environment
    assert found.entrypoint == ("/usr/local/bin/entrypoint", "/sbin/init")


def test_image_of_docker_hub() -> None:
    """The names of an image are whole; its digests stand without names, and what it lacks is empty."""
    found = recorded("image-inspect.json")[0]
    found.update(RepoTags=["debian:12", "team/node:1"], RepoDigests=["debian@sha256:12"], Config=None)
    image = decode_image(found)
    assert image.tags == ("docker.io/library/debian:12", "docker.io/team/node:1")
    assert image.digests == ("sha256:12",)
    assert (image.labels, image.environment, image.entrypoint) == ({}, (), ())


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("debian:12", "docker.io/library/debian:12"),
        ("debian", "docker.io/library/debian"),
        ("debian@sha256:12", "docker.io/library/debian@sha256:12"),
        ("team/node:1", "docker.io/team/node:1"),
        ("docker.io/library/debian:12", "docker.io/library/debian:12"),
        ("registry.example/team/node:1", "registry.example/team/node:1"),
        ("registry.example/node@sha256:12", "registry.example/node@sha256:12"),
        ("localhost:5000/node:1", "localhost:5000/node:1"),
        (KIC_IMAGE, KIC_IMAGE),
        ("<none>:<none>", "<none>:<none>"),
        ("sha256:12", "sha256:12"),
    ],
)
def test_full_name(name: str, whole: str) -> None:
    """What docker leaves out of a name is put back; names that are whole stay."""
    assert full_name(name) == whole


@pytest.mark.parametrize(
    ("name", "status", "runs", "exit_code"), [("running", "running", True, 0), ("exited", "exited", False, 137)]
)
def test_container(name: str, status: str, runs: bool, exit_code: int) -> None:
    """A node is read in each of its states; its fixed addresses it has in all of them."""
    found = decode_container(recorded(f"container-inspect-{name}.json")[0])
    assert (found.id, found.name, found.status, found.running) == (NODE_ID, NODE, status, runs)
    assert found.addresses == {"kictest-dk": ("192.168.128.2", "fd43:2b27:2a66:bb3b::2")}
    assert (found.pid > 0, found.exit_code) == (runs, exit_code)
    assert found.limits == Limits()
    assert found.image_name == KIC_IMAGE
    assert found.image_id == decode_image(recorded("image-inspect.json")[0]).id
    assert (found.runtime, found.error, found.oom_killed) == ("runc", "", False)
    assert found.environment["container"] == "docker"
    assert found.labels["nodeforge.kic.address"] == "192.168.128.2"


def test_container_that_was_never_started() -> None:
    """A container that was only made has its limits and the address that it was promised."""
    found = decode_container(recorded("container-inspect-created.json")[0])
    assert (found.name, found.status, found.running, found.pid) == ("kictest-rec", "created", False, 0)
    assert found.addresses == {"kictest-dk": ("192.168.128.9",)}
    assert found.limits == Limits(memory=268435456, cpus=1.5, pids=100)


def test_container_without_fixed_addresses() -> None:
    """The addresses that it has while it runs are told where none were promised."""
    found = recorded("container-inspect-running.json")[0]
    net = found["NetworkSettings"]["Networks"]["kictest-dk"]
    net.update(IPAMConfig=None, IPAddress="192.168.128.7")
    assert decode_container(found).addresses["kictest-dk"] == ("192.168.128.7", "fd43:2b27:2a66:bb3b::2")
    net.update(IPAddress="", GlobalIPv6Address="")
    assert decode_container(found).addresses["kictest-dk"] == ()


def test_container_that_failed() -> None:
    """What the engine says of a container's end is kept."""
    found = recorded("container-inspect-exited.json")[0]
    found["State"].update(Error="exec: no such file", OOMKilled=True)
    assert decode_container(found).error == "exec: no such file"
    assert decode_container(found).oom_killed


# Recorded failures.


@pytest.mark.parametrize(
    ("about", "condition", "words"),
    [
        ("network overlap", "subnet_overlap", "overlaps a network of this host"),
        ("address taken", "address_taken", "is taken by another container"),
        ("port taken by another program", "port_taken", "the port 45671 of 127.0.0.1 is in use"),
        ("runtime unknown", "runtime_missing", "docker knows no runtime none."),
        ("privileged refused", "privileged_refused", "leave privileged at auto"),
        ("cpus beyond", "engine_failed", "as there are only 2 CPUs available"),
        ("capability unknown", "engine_failed", 'unknown capability: "CAP_BPF"'),
        ("network in use", "engine_failed", "has active endpoints"),
        ("volume in use", "engine_failed", "volume is in use"),
        ("image in use", "engine_failed", "docker failed: doing it (exit code 1)"),
        ("exec in stopped", "engine_failed", "is not running"),
    ],
)
def test_explain_recorded(about: str, condition: str, words: str) -> None:
    """docker's words on a failure give its cause, and stand below it; what is not known is not guessed at."""
    error = explain(ERRORS[about], "doing it")
    assert error.diagnosis.id == condition
    assert words in str(error)
    assert error.diagnosis.output == ERRORS[about].words


@pytest.mark.parametrize(
    ("text", "condition", "words"),
    [
        (NOT_RUNNING, "engine_not_running", "nothing answers at unix:///var/run/docker.sock: its daemon"),
        (
            "failed to connect to the docker API at unix:///run/d.sock; check if the path is correct",
            "engine_not_running",
            "nothing answers at unix:///run/d.sock: its daemon",
        ),
        (DENIED, "socket_denied", "unix:///var/run/docker.sock refuses them"),
        (
            "permission denied while trying to connect to the Docker daemon socket at unix:///run/d.sock: Head x: y",
            "socket_denied",
            "unix:///run/d.sock refuses them",
        ),
        (
            "driver failed programming external connectivity: Bind for 127.0.0.1:80 failed: port is already allocated",
            "port_taken",
            "port 80 of 127.0.0.1",
        ),
        ("listen udp4 0.0.0.0:53: bind: address already in use", "port_taken", "port 53 of 0.0.0.0"),
        ("write /var/x: No space left on device", "disk_full", "docker system df"),
        (
            "Error response from daemon: unknown or invalid runtime name: kata",
            "runtime_missing",
            "docker knows no runtime kata.",
        ),
        ("", "engine_failed", "docker failed: doing it (exit code 1)"),
    ],
)
def test_explain_text(text: str, condition: str, words: str) -> None:
    """Words that other releases and hosts say give their cause too."""
    error = explain(said(rc=1, err=text), "doing it")
    assert error.diagnosis.id == condition
    assert words in str(error)


# Commands.

NEW = NewContainer(
    name="node-1",
    image="img:1",
    hostname="first",
    network=None,
    ip=None,
    ip6=None,
    volume=None,
    mounts=(),
    tmpfs={},
    publish=(),
    devices=(),
    limits=Limits(),
    ulimits={},
    sysctls={},
    security_opts=(),
    env={},
    labels={},
    privileged=True,
    runtime=None,
    command=(),
    restart_policy="no",
)


def test_create_arguments_of_plain_node() -> None:
    """A node that nothing is requested has what every node needs, and its image last."""
    assert create_arguments(NEW) == [
        "create",
        "--name",
        "node-1",
        "--hostname",
        "first",
        "--pull=never",
        "--init=false",
        "--tty",
        "--log-driver=json-file",
        "--log-opt=max-size=10m",
        "--log-opt=max-file=1",
        "--cgroupns=private",
        "--ipc=private",
        "--stop-signal=SIGRTMIN+3",
        "--restart=no",
        "--privileged",
        "--security-opt",
        "no-new-privileges=false",
        "--env",
        "container=docker",
        "--pids-limit=-1",
        "img:1",
    ]


def test_new_privileges() -> None:
    """What daemon.json denies to all containers a node needs, unless it is to have no privileges; the user's word comes later."""
    denied = "no-new-privileges=false"
    assert denied in create_arguments(replace(NEW, privileged=False, capabilities=("ALL",)))
    assert denied not in create_arguments(replace(NEW, privileged=False))
    asked = create_arguments(replace(NEW, security_opts=("no-new-privileges",)))
    assert asked.index("no-new-privileges") > asked.index(denied)


def test_variables_of_builders(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who builds for another platform, or pulls signed images only, has nodes of this machine's platform all the same."""
    found, runner = engine(create=said("id\n"))
    found.create_container(NEW)
    assert not {"DOCKER_DEFAULT_PLATFORM", "DOCKER_CONTENT_TRUST"} & set(runner.environments[-1])
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "linux/amd64")
    monkeypatch.setenv("DOCKER_CONTENT_TRUST", "1")
    found.create_container(NEW)
    assert runner.environments[-1] == {"DOCKER_DEFAULT_PLATFORM": "", "DOCKER_CONTENT_TRUST": "0"}
    found, runner = engine(pull=said())
    found.pull_image("r.example/x:1", 9)
    assert runner.environments[-1] == {"DOCKER_DEFAULT_PLATFORM": ""}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"restart_policy": "always"}, ["--restart=always"]),
        ({"env": {"B": "2 3", "A": "x=y"}}, ["--env", "A", "--env", "B"]),
        ({"tmpfs": {"/run": "rw,exec"}}, ["--tmpfs", "/run:rw,exec"]),
        ({"volume": "data"}, ["--volume", "data:/var"]),
        ({"runtime": "crun"}, ["--runtime", "crun"]),
        ({"mounts": (Mount("/a", "/b", True, "rshared", "shared"),)}, ["--volume", "/a:/b:ro,rshared,z"]),
        ({"devices": ("/dev/fuse", "/dev/a:/dev/b")}, ["--device", "/dev/fuse", "--device", "/dev/a:/dev/b"]),
        ({"network": "kic"}, ["--network", "kic"]),
        ({"ip": "10.0.0.2", "ip6": "fd00::2"}, ["--ip", "10.0.0.2", "--ip6", "fd00::2"]),
        ({"publish": (Publication(53, "udp", "::1", 53),)}, ["--publish", "[::1]:53:53/udp"]),
        ({"limits": Limits(1024, 1.5, 5)}, ["--pids-limit=5", "--memory=1024b", "--memory-swap=1024b", "--cpus=1.5"]),
        ({"ulimits": {"nproc": "1:2", "nofile": "3:4"}}, ["--ulimit", "nofile=3:4", "--ulimit", "nproc=1:2"]),
        ({"sysctls": {"a.b": "1"}}, ["--sysctl", "a.b=1"]),
        ({"security_opts": ("label=disable",)}, ["--security-opt", "label=disable"]),
        ({"labels": {"b": "2", "a": "1"}}, ["--label", "a=1", "--label", "b=2"]),
        ({"command": ("--debug", "x")}, ["img:1", "--debug", "x"]),
    ],
)
def test_create_arguments(given: dict[str, Any], expected: list[str]) -> None:
    """Each field of a node has its argument, in one piece and before the image."""
    arguments = create_arguments(replace(NEW, **given))
    at = next(index for index in range(len(arguments)) if arguments[index : index + len(expected)] == expected)
    if "command" not in given:
        assert at + len(expected) <= arguments.index("img:1")


def test_values_of_the_environment_are_no_arguments() -> None:
    """They are in the client's own environment, and on its standard input where the client would obey them."""
    found, runner = engine(create=said("id\n"))
    found.create_container(replace(NEW, env={"A": "S3CRET", "DOCKER_HOST": "S3CRET"}))
    assert "S3CRET" not in runner.commands[0]
    assert runner.environments[0] == {"A": "S3CRET"}
    assert runner.stdin[0] == b"DOCKER_HOST=S3CRET\n"


def test_create_arguments_with_capabilities() -> None:
    """In place of --privileged a node gets each capability by name, all devices, all system calls and all of /proc."""
    new = replace(NEW, privileged=False, capabilities=("CHOWN", "SYS_ADMIN"), devices=("/dev/kmsg",))
    arguments = create_arguments(new)
    at = arguments.index("--cap-add")
    assert arguments[at : at + 14] == [
        "--cap-add",
        "CHOWN",
        "--cap-add",
        "SYS_ADMIN",
        "--device-cgroup-rule",
        "a *:* rwm",
        "--security-opt",
        "seccomp=unconfined",
        "--security-opt",
        "apparmor=unconfined",
        "--security-opt",
        "label=disable",
        "--security-opt",
        "systempaths=unconfined",
    ]
    assert arguments[arguments.index("--device") + 1] == "/dev/kmsg"
    assert "--privileged" not in arguments


def test_create_arguments_without_privileges() -> None:
    """A node without privileges has docker's own confinement."""
    arguments = create_arguments(replace(NEW, privileged=False))
    assert not {"--privileged", "--cap-add", "--device-cgroup-rule", "--security-opt"} & set(arguments)


def test_create_container() -> None:
    """The id is the last word of the answer."""
    found, runner = engine(create=said("some warning\nabc\n"))
    assert found.create_container(NEW) == "abc"
    assert runner.commands[0].startswith("docker create --name node-1 ")


def test_create_container_conflict() -> None:
    """A name that another took meanwhile is a conflict, and nothing else is."""
    found, _runner = engine(create=ERRORS["container name taken"])
    with fails("name_conflict", "a container named node-1 was made by another run"):
        found.create_container(NEW)
    found, _runner = engine(create=ERRORS["runtime unknown"])
    with fails("runtime_missing", "docker knows no runtime none"):
        found.create_container(NEW)
    found, _runner = engine(create=ERRORS["cpus beyond"])
    with fails("engine_failed", "creating the container node-1", "Range of CPUs"):
        found.create_container(NEW)


def listed_networks(*names: str) -> dict[str, CommandResult | Exception]:
    """The answers on networks of these names, each with an id of its own; the last one was just made."""
    plain = recorded("network-inspect.json")[1]
    every = [{**plain, "Id": f"id{index}", "Name": name} for index, name in enumerate(names)]
    return {
        "network ls": said("\n".join(item["Id"] for item in every)),
        "network inspect": said(json.dumps(every)),
        "network create": said(f"{every[-1]['Id']}\n"),
        "network rm": said(),
    }


@pytest.mark.parametrize(
    ("network", "command"),
    [
        (
            Network("", "kic", "bridge", (Range.of("10.0.0.0/24", "10.0.0.1"),), 1400, {"a": "1"}),
            "--subnet 10.0.0.0/24 --gateway 10.0.0.1 --opt com.docker.network.driver.mtu=1400 --label a=1 -- kic",
        ),
        (
            Network("", "kic", "bridge", (Range.of("10.0.0.0/24", None), Range.of("fd00::/64", "fd00::1")), None, {}),
            "--subnet 10.0.0.0/24 --subnet fd00::/64 --gateway fd00::1 --ipv6 -- kic",
        ),
    ],
    ids=["IPv4", "both"],
)
def test_create_network(network: Network, command: str) -> None:
    """A network is made with its ranges, MTU and labels, and stays where it is the only one of its name."""
    found, runner = engine(**listed_networks("other", "kic"))
    found.create_network(network)
    # What daemon.json may switch off for all networks.
    always = "--opt com.docker.network.bridge.enable_icc=true --opt com.docker.network.bridge.enable_ip_masquerade=true"
    assert runner.commands[0] == f"docker network create --driver bridge {always} {command}"
    assert not [item for item in runner.commands if " rm " in item]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again at once."""
    monkeypatch.setattr(docker, "_SECOND_PAUSE", 0.0)


class RaceRunner(TableRunner):
    """A docker on which a run of another user made a network of our name; it takes its own back after some looks."""

    def __init__(self, ours: str, theirs: str, looks: int) -> None:
        plain = {**recorded("network-inspect.json")[1], "Name": "kic"}
        self.networks = {
            "ours": {**plain, "Id": "ours", "Created": ours},
            "theirs": {**plain, "Id": "theirs", "Created": theirs},
        }
        self.looks = looks
        super().__init__({})

    def run(self, argv: Sequence[str], **_more: Any) -> CommandResult:
        """Answer from what there is now."""
        self.commands.append(" ".join(argv))
        verb = argv[2]
        if verb == "ls":
            if self.looks == 0:
                self.networks.pop("theirs", None)
            self.looks -= 1
            return said("\n".join(self.networks))
        if verb == "rm":
            del self.networks[argv[-1]]
        return said(json.dumps(list(self.networks.values())) if verb == "inspect" else "ours\n")


EARLY, LATE = "2026-01-01T10:00:00.1Z", "2026-01-01T10:00:00.2Z"


@pytest.mark.parametrize(
    ("ours", "theirs", "looks", "left"),
    [
        (EARLY, LATE, 3, ["ours"]),
        (LATE, EARLY, 3, ["theirs"]),
        (EARLY, LATE, 99, ["theirs"]),
        (EARLY, EARLY, 3, ["ours"]),
    ],
    ids=["first", "second", "first-but-the-other-stays", "same-moment"],
)
def test_create_network_at_the_same_moment(ours: str, theirs: str, looks: int, left: list[str]) -> None:
    """Of two runs that make one name the later one takes its own back, and the first waits for that: one network stays."""
    runner = RaceRunner(ours, theirs, looks)
    found = Docker(runner, facts())
    if left == ["ours"]:
        found.create_network(Network("", "kic", "bridge", (), None, {}))
    else:
        with fails("name_taken"):
            found.create_network(Network("", "kic", "bridge", (), None, {}))
    assert list(runner.networks) == left


def test_create_network_of_a_name_that_is_there() -> None:
    """Of two networks of one name, which docker allows, the one that was just made goes again, by its id."""
    found, runner = engine(**listed_networks("kic", "kic"))
    with fails("name_taken", "a network named kic exists", "docker network rm kic"):
        found.create_network(Network("", "kic", "bridge", (), None, {}))
    assert runner.commands[-1] == "docker network rm -- id1"


def test_create_network_where_another_was_faster() -> None:
    """A subnet that was taken meanwhile is told as that."""
    found, _runner = engine(network_create=ERRORS["network overlap"])
    with fails("subnet_overlap"):
        found.create_network(Network("", "kic", "bridge", (), None, {}))


def held_volume(labels: dict[str, str] | None) -> CommandResult:
    """The answer on a volume with these labels."""
    return said(json.dumps([{**recorded("volume-inspect.json")[0], "Name": "data", "Labels": labels}]))


def test_create_volume() -> None:
    """A volume is made with its options and labels, and looked at once more."""
    found, runner = engine(volume_create=said("data\n"), volume_inspect=held_volume(OURS))
    found.create_volume(Volume("data", "local", "", {"a": "1"}, {"type": "tmpfs", "device": "tmpfs"}))
    assert runner.commands == [
        "docker volume create --driver local --opt type=tmpfs --opt device=tmpfs --label a=1 -- data",
        "docker volume inspect -- data",
    ]


@dataclass
class Daemon:
    """Answers one request on a socket, and keeps it."""

    path: Path
    answer: bytes
    request: bytes = b""

    def __enter__(self) -> Daemon:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(self.path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def _serve(self) -> None:
        connection, _address = self._socket.accept()
        while b"}}" not in self.request:
            self.request += connection.recv(65536)
        connection.sendall(self.answer)
        connection.close()

    def __exit__(self, *_error: object) -> None:
        self._thread.join(10)
        self._socket.close()


SECRET = Volume("data", "local", "", OURS, {"type": "cifs", "device": "//nas/x", "o": "password=S3CRET"})


@pytest.mark.parametrize(
    ("answer", "condition"),
    [
        (b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}", None),
        (b'HTTP/1.1 500 No\r\nContent-Length: 36\r\n\r\n{"message":"no space left on device"}', "disk_full"),
        (b"HTTP/1.1 400 No\r\nContent-Length: 5\r\n\r\nnever", "engine_failed"),
        (b"", "engine_not_running"),
    ],
)
def test_create_volume_with_a_secret(
    answer: bytes, condition: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon is told by its socket, as the client knows arguments only."""
    path = tmp_path / "socket"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    found, runner = engine(volume_inspect=held_volume(OURS))
    expected = fails(condition) if condition else nullcontext()
    with expected, Daemon(path, answer) as daemon:
        found.create_volume(SECRET)
    assert json.loads(daemon.request.partition(b"\r\n\r\n")[2])["DriverOpts"]["o"] == "password=S3CRET"
    assert not [command for command in runner.commands if "S3CRET" in command]


def test_create_volume_with_a_secret_without_a_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens there."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    found, _runner = engine()
    with fails("engine_not_running"):
        found.create_volume(SECRET)


@pytest.mark.parametrize(
    "labels", [None, {"team": "a"}, {**OURS, CLUSTER: "lab"}], ids=["none", "others", "other-cluster"]
)
def test_create_volume_of_a_name_that_is_there(labels: dict[str, str] | None) -> None:
    """docker hands out the volume that another made a moment ago; one that is not ours is not taken, and stays."""
    found, runner = engine(volume_create=said("data\n"), volume_inspect=held_volume(labels))
    with fails("name_taken", "a volume named data exists", "docker volume rm data"):
        found.create_volume(Volume("data", "local", "", OURS, {}))
    assert not [item for item in runner.commands if " rm " in item]


def test_create_volume_that_goes_at_once() -> None:
    """So is one that is gone again when it is looked at."""
    found, _runner = engine(
        volume_create=said("data\n"), volume_inspect=ERRORS["volume missing"], volume_ls=said("x\n")
    )
    with fails("name_taken"):
        found.create_volume(Volume("data", "local", "", OURS, {}))


# What is there.

HUB_LISTING = "sha256:12 debian:12 debian@<none>\nsha256:34 <none>:<none> <none>@<none>\n"

INSPECTS: list[tuple[str, str, str, str, Callable[[Docker], Any]]] = [
    ("volume", "volume_ls", "volume-inspect.json", NODE, lambda found: found.volume(NODE)),
    ("container", "ps", "container-inspect-running.json", f"{NODE} {NODE_ID}", lambda found: found.container(NODE)),
    ("container", "ps", "container-inspect-running.json", f"x {NODE_ID}", lambda found: found.container(NODE_ID)),
    (
        "image",
        "images",
        "image-inspect.json",
        f"sha256:cbc9 {KIC_IMAGE} {KIC_IMAGE.rpartition(':')[0]}@<none>",
        lambda found: found.image(KIC_IMAGE),
    ),
    ("image", "images", "image-inspect.json", HUB_LISTING, lambda found: found.image("docker.io/library/debian:12")),
    ("image", "images", "image-inspect.json", HUB_LISTING, lambda found: found.image("sha256:34")),
    (
        "image",
        "images",
        "image-inspect.json",
        "sha256:12 r.example/n:1 r.example/n@sha256:56",
        lambda found: found.image("r.example/n@sha256:56"),
    ),
]


@pytest.mark.parametrize(
    ("kind", "listing", "name", "held", "look"),
    INSPECTS,
    ids=["volume", "container", "container by id", "image", "image of Docker Hub", "image by id", "image by digest"],
)
def test_inspect(kind: str, listing: str, name: str, held: str, look: Callable[[Docker], Any]) -> None:
    """What is there is found; what a listing does not hold is not there; a failed look alone is never absence."""
    there, runner = engine(**{f"{kind}_inspect": raw(name)})
    assert look(there) is not None
    assert [command.startswith(f"docker {kind} inspect") for command in runner.commands][:1] == [True]
    missing = ERRORS[f"{kind} missing"]
    absent, runner = engine(**{f"{kind}_inspect": missing, listing: said("other 99\n")})
    assert look(absent) is None
    assert len(runner.commands) == 2
    still, _runner = engine(**{f"{kind}_inspect": missing, listing: said(held)})
    with fails("engine_failed", f"inspecting the {kind}"):
        look(still)
    silent, _runner = engine(**{f"{kind}_inspect": missing, listing: said(rc=1, err=NOT_RUNNING)})
    with fails("engine_failed", f"inspecting the {kind}"):
        look(silent)


def test_daemon_that_ends_meanwhile() -> None:
    """A daemon that does not answer is no absence."""
    gone = said("[]", rc=1, err=NOT_RUNNING)
    found, _runner = engine(volume=gone, image_inspect=gone, image=gone, ps=gone, container=gone)
    for look in (found.volume, found.image, found.container):
        with fails("engine_not_running", "unix:///var/run/docker.sock"):
            look("x")


def test_only_the_very_name() -> None:
    """docker takes the beginning of an id for the whole; a container is also found by its id."""
    found, _runner = engine(
        volume_inspect=raw("volume-inspect.json"), container_inspect=raw("container-inspect-running.json")
    )
    assert found.volume("kictest") is None
    assert found.container(NODE_ID[:12]) is None
    by_id = found.container(NODE_ID)
    assert by_id is not None
    assert by_id.name == NODE


def test_lists() -> None:
    """Networks, volumes, images and containers are listed; with a label only those that carry it are requested."""
    found, runner = engine(
        network_ls=said(f"{NETWORK_ID}\n12\n34\n"),
        network_inspect=raw("network-inspect.json"),
        volume_ls=said(f"{NODE}\n"),
        volume_inspect=raw("volume-inspect.json"),
        images=said("sha256:cbc9\nsha256:cbc9\n"),
        image_inspect=raw("image-inspect.json"),
        ps=said(f"{NODE_ID}\n"),
        container_inspect=raw("container-inspect-running.json"),
    )
    assert [item.name for item in found.networks()] == ["kictest-dk", "bridge", "host"]
    assert [item.name for item in found.volumes("a=b")] == [NODE]
    assert [item.tags for item in found.images("a")] == [(KIC_IMAGE,)]
    assert [item.name for item in found.containers("nodeforge.kic.schema=1")] == [NODE]
    assert f"docker network inspect -- {NETWORK_ID} 12 34" in runner.commands
    assert "docker volume ls --quiet --filter label=a=b" in runner.commands
    assert "docker image inspect -- sha256:cbc9" in runner.commands
    assert "docker ps --all --no-trunc --quiet --filter label=nodeforge.kic.schema=1" in runner.commands


def test_list_of_what_goes_meanwhile() -> None:
    """What somebody removed between the list and the look is left out; what cannot be looked at is an error."""
    here, missing = recorded("network-inspect.json")[0], ERRORS["network missing"]
    listed: dict[str, CommandResult | Exception] = {
        "docker network ls --no-trunc --quiet": said(f"gone\n{NETWORK_ID}\n"),
        f"docker network inspect -- gone {NETWORK_ID}": missing,
        "docker network inspect -- gone": missing,
        f"docker network inspect -- {NETWORK_ID}": said(json.dumps([here])),
        "docker network ls --no-trunc --format": said(f"kictest-dk {NETWORK_ID}\n"),
    }
    assert [item.name for item in Docker(TableRunner(listed), facts()).networks()] == ["kictest-dk"]
    listed["docker network ls --no-trunc --format"] = said(f"kictest-dk {NETWORK_ID}\nx gone\n")
    with fails("engine_failed", "inspecting the network gone"):
        Docker(TableRunner(listed), facts()).networks()


def test_empty_lists() -> None:
    """Where nothing is, nothing is inspected."""
    found, runner = engine(network_ls=said(), volume_ls=said(), images=said("\n"), ps=said(""))
    assert (found.networks(), found.volumes("a"), found.images("a"), found.containers("a")) == ([], [], [], [])
    assert len(runner.commands) == 4


@pytest.mark.parametrize(
    ("look", "use"),
    [
        (lambda found: found.attached_to_network("kic"), "network=kic"),
        (lambda found: found.attached_to_volume("data"), "volume=data"),
        (lambda found: found.attached_to_image("47ff"), "ancestor=47ff"),
    ],
    ids=["network", "volume", "image"],
)
def test_attached(look: Callable[[Docker], list[Attached]], use: str) -> None:
    """Users are listed by id, name and labels whole, those that do not run among them."""
    found, runner = engine(ps=said(f"{NODE_ID}\n"), container_inspect=raw("container-inspect-exited.json"))
    (user,) = look(found)
    assert (user.id, user.name) == (NODE_ID, NODE)
    assert json.loads(user.labels["nodeforge.kic.publish"])[0]["host_port"] == 45139
    assert runner.commands[0] == f"docker ps --all --no-trunc --quiet --filter {use}"


# What is done.


@pytest.mark.parametrize(
    ("kind", "listing", "stays", "remove"),
    [
        ("network", "network_ls", "x 12\n", lambda found: found.remove_network("x")),
        ("network", "network_ls", "x 12\n", lambda found: found.remove_network("12")),
        ("volume", "volume_ls", "x\n12\n", lambda found: found.remove_volume("x")),
        ("image", "images", "sha256:12 x:1 x@<none>\n", lambda found: found.remove_image("docker.io/library/x:1")),
        # Without --all the client of docker 29 shows no image that has no name.
        ("image", "images_--all", "sha256:12 <none>:<none> <none>@<none>\n", lambda found: found.remove_image("12")),
    ],
    ids=["network", "network by id", "volume", "image", "image without a name"],
)
def test_remove(kind: str, listing: str, stays: str, remove: Callable[[Docker], None]) -> None:
    """What goes is removed; what is gone already is fine; what stays is an error."""
    done, runner = engine(**{f"{kind}_rm": said()})
    remove(done)
    assert len(runner.commands) == 1 and runner.commands[0].startswith(f"docker {kind} rm -- ")
    gone, _runner = engine(**{f"{kind}_rm": ERRORS[f"{kind} missing"], listing: said("other 99\n")})
    remove(gone)
    held, _runner = engine(**{f"{kind}_rm": ERRORS[f"{kind} in use"], listing: said(stays)})
    with fails("engine_failed", f"removing the {kind}", "Error response from daemon"):
        remove(held)
    silent, _runner = engine(**{f"{kind}_rm": ERRORS[f"{kind} missing"], listing: said(rc=1)})
    with fails("engine_failed", f"removing the {kind}"):
        remove(silent)


def test_remove_container() -> None:
    """A container is asked to stop within a time, then removed; one that is gone already is fine."""
    done, runner = engine(rm=said(), stop=said(rc=1))
    done.remove_container("x", 7)
    done.remove_container("x", 0)
    assert runner.commands == ["docker stop --time 7 x", *["docker rm --force --volumes -- x"] * 2]
    gone, _runner = engine(rm=ERRORS["container missing"], ps=said("other 99\n"))
    gone.remove_container("x", 0)
    stays, _runner = engine(rm=said(rc=1, err="busy"), ps=said("x 12\n"))
    with fails("engine_failed", "removing the container x", "busy"):
        stays.remove_container("x", 0)


def test_rename_container() -> None:
    """A container gets another name, unless another one has it."""
    done, runner = engine(rename=said())
    done.rename_container("x", "y")
    assert runner.commands == ["docker rename x y"]
    words = 'Error response from daemon: Error when allocating new name: Conflict. The container name "/y" is already in use by container "2c86".'
    taken, _runner = engine(rename=said(rc=1, err=words))
    with fails("name_conflict", "a container named y"):
        taken.rename_container("x", "y")
    failed, _runner = engine(rename=said(rc=1, err="busy"))
    with fails("engine_failed", "renaming the container x to y", "busy"):
        failed.rename_container("x", "y")


def test_container_commands() -> None:
    """What is done to a container is one command each."""
    found, runner = engine(start=said(), stop=said(), pause=said(), unpause=said(), cp=said(), update=ERRORS["update"])
    found.start_container("x")
    found.stop_container("x", 30)
    found.pause_container("x")
    found.resume_container("x")
    found.put_files("x", b"tar")
    found.update_limits("x", Limits(memory=1024, pids=9))
    found.update_limits("x", Limits())
    assert runner.commands == [
        "docker start x",
        "docker stop --time 30 x",
        "docker pause x",
        "docker unpause x",
        "docker cp - x:/",
        "docker update --pids-limit=9 --memory=1024b --memory-swap=1024b x",
    ]
    assert runner.stdin[4] == b"tar"
    assert found.updatable == {"memory", "cpus", "pids"}


@pytest.mark.parametrize(
    ("said_by_docker", "policy"), [({"Name": "unless-stopped"}, "unless-stopped"), ({"Name": ""}, "no"), (None, "no")]
)
def test_restart_policy(said_by_docker: dict[str, str] | None, policy: str) -> None:
    """It is read from what docker keeps, which is not what the container was created with once it was changed."""
    found = recorded("container-inspect-running.json")[0]
    found["HostConfig"]["RestartPolicy"] = said_by_docker
    assert decode_container(found).restart_policy == policy
    client, runner = engine(update=said())
    client.set_restart_policy("x", policy)
    assert runner.commands == [f"docker update --restart={policy} x"]


@pytest.mark.parametrize(
    ("about", "condition"),
    [
        ("address taken", "address_taken"),
        ("port taken by another program", "port_taken"),
        ("privileged refused", "privileged_refused"),
    ],
)
def test_start_that_is_refused(about: str, condition: str) -> None:
    """What only the start finds out is told as what it is."""
    found, _runner = engine(start=ERRORS[about])
    with fails(condition):
        found.start_container("x")


def test_exec() -> None:
    """A command inside a container that does not run is a failure."""
    found, runner = engine(exec=said("out"))
    assert found.exec("x", ["cat", "/a b"]).out == "out"
    assert runner.commands == [" ".join(["docker", *without_proxy(["exec", "x", "cat", "/a b"])])]
    assert "--env=HTTPS_PROXY=" in runner.commands[0]
    failing, _runner = engine(exec=ERRORS["exec in stopped"])
    with fails("engine_failed", "running cat in x", "is not running"):
        failing.exec("x", ["cat"])


def test_pull_is_explained() -> None:
    """A failed pull is told by what the registry did."""
    found, _runner = engine(pull=ERRORS["image pull unreachable"])
    with fails("registry_unreachable", "127.0.0.1:45672", "connection refused"):
        found.pull_image("127.0.0.1:45672/none/none:1", 5)
    unknown = "Error response from daemon: manifest for r.example/x:1 not found: manifest unknown: manifest unknown"
    found, _runner = engine(pull=said(rc=1, err=unknown))
    with fails("image_unknown", "the registry has no image r.example/x:1"):
        found.pull_image("r.example/x:1", 5)


@pytest.mark.parametrize(
    ("reference", "options"),
    [("r.example/x:1", ""), ("127.0.0.1:5000/x:1", "--insecure "), ("localhost:5000/x:1", "--insecure ")],
)
def test_registry_has_it(reference: str, options: str) -> None:
    """A manifest is an answer; a registry of this machine may speak HTTP, as the daemon lets it."""
    found, runner = engine(manifest_inspect=said("{}"))
    assert found.ask_registry(reference, 5) == Offered()
    assert runner.commands == [f"docker manifest inspect {options}{reference}"]
    assert runner.timeouts == [5]


@pytest.mark.parametrize(
    ("answer", "condition", "words"),
    [
        (said(rc=124, err="trying"), "registry_unreachable", "cannot be reached within 5 seconds"),
        (said(rc=1, err="unauthorized: authentication required"), "registry_refused", "docker login r.example"),
        (said(rc=1, err=NOT_RUNNING), "engine_not_running", "docker"),
    ],
    ids=["silent", "unauthorized", "no daemon"],
)
def test_registry_has_it_not(answer: CommandResult, condition: str, words: str) -> None:
    """A registry that does not answer in time counts as one that cannot be reached."""
    with fails(condition, words):
        engine(manifest_inspect=answer)[0].ask_registry("r.example/x:1", 5)


@pytest.mark.parametrize(
    ("debug", "condition"),
    [
        (
            'level=debug msg="continuing on error (errcode.Errors) unauthorized: authentication required"\n',
            "registry_refused",
        ),
        ('level=debug msg="continuing on error (errcode.Errors) manifest unknown"\n', "image_unknown"),
    ],
)
def test_registry_behind_no_such_manifest(debug: str, condition: str) -> None:
    """The client says of a wrong password that there is no such manifest; its debug lines know better (20.10, 28.2)."""
    words = "no such manifest: r.example/x:1"
    found, runner = engine(manifest=said(rc=1, err=words), **{"--debug": said(rc=1, err=debug + words)})
    with fails(condition):
        found.ask_registry("r.example/x:1", 5)
    assert runner.commands == [f"docker{option} manifest inspect r.example/x:1" for option in ("", " --debug")]


def test_registry_is_asked_by_a_client() -> None:
    """Where there is no client that is the failure."""
    with fails("engine_not_installed", "docker is not installed"):
        engine(manifest_inspect=CommandNotFound("docker"))[0].ask_registry("r.example/x:1", 5)


@pytest.mark.parametrize(
    ("reference", "loopback"),
    [
        ("localhost/x:1", True),
        ("localhost:5000/x:1", True),
        ("127.0.0.1:5000/x:1", True),
        ("127.9.8.7/x:1", True),
        ("[::1]:5000/x:1", True),
        ("127.0.0.1.example/x:1", False),
        ("localhost.example/x:1", False),
        ("r.example/localhost/x:1", False),
    ],
)
def test_loopback(reference: str, loopback: bool) -> None:
    """A registry of this machine is told by its name alone."""
    assert is_loopback(reference) is loopback


def test_facts_of_podman_are_not_its_own() -> None:
    """Facts that were handed in are used as they are; which engine they are of is the registry's to look at."""
    assert Docker(TableRunner({}), engine_info()).info.name == "podman"


def test_labels_of_the_image_are_not_its_own() -> None:
    """A container of an image that was committed from a node is no node: neither by name nor by label nor as a user."""
    (item,), (behind,) = recorded("container-inspect-running.json"), recorded("image-inspect.json")
    behind["Labels"] = behind["Config"]["Labels"] = dict(item["Config"]["Labels"])
    answers = {"image_inspect": said(json.dumps([behind])), "container_inspect": said(json.dumps([item]))}
    one, runner = engine(ps=said(item["Id"]), **answers)
    found = one.container(item["Id"])
    assert found is not None
    assert not [key for key in found.labels if key.startswith("nodeforge.kic.") and ".image." not in key]
    assert one.containers("nodeforge.kic.schema") == [] and one.containers("nodeforge.kic.cluster") == []
    assert len([command for command in runner.commands if "image inspect" in command]) == 1
    assert "nodeforge.kic.schema" not in one.attached_to_network("kic")[0].labels


def test_container_that_names_its_image() -> None:
    """It is ours without a question to the engine: no image can hold its own id."""
    (item,) = recorded("container-inspect-running.json")
    item["Config"]["Labels"]["nodeforge.kic.created-from"] = item["Image"].rpartition(":")[2]
    one, runner = engine(ps=said(item["Id"]), container_inspect=said(json.dumps([item])))
    assert [found.id for found in one.containers("nodeforge.kic.schema")] == [item["Id"]]
    assert not [command for command in runner.commands if "image" in command]
