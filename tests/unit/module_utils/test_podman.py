# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""podman's answers as they were recorded, and the commands that are made for it."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandNotFound, CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._engine import podman
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.cli import decode_limits
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import (
    Attached,
    Limits,
    Mount,
    Network,
    NewContainer,
    Offered,
    Publication,
    Range,
    Volume,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.podman import (
    Podman,
    create_arguments,
    decode_container,
    decode_image,
    decode_info,
    decode_network,
    decode_volume,
    explain,
    explain_registry,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.proxy import without_proxy
from ansible_collections.nodeforge.kic.plugins.module_utils._host.environment import client_environment
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import (
    TableRunner,
    engine_info,
    fails,
    recorded,
    recorded_errors,
    said,
)

ERRORS = recorded_errors()
NODE_ID = recorded("container-inspect-running.json")[0]["Id"]
KIC_IMAGE = "localhost/nodeforge/kic-node:v1.35.4-a309c84e92ca"


def raw(name: str) -> CommandResult:
    """A recorded answer as podman gave it."""
    return said(json.dumps(recorded(name)))


def engine(**table: CommandResult | Exception) -> tuple[Podman, TableRunner]:
    """A podman whose answers are in the table by how the command begins, with _ for a space."""
    # The image of the recorded containers, which are of a release that named it in no label.
    known = {
        "image inspect": raw("image-inspect.json"),
        **{key.replace("_", " "): answer for key, answer in table.items()},
    }
    runner = TableRunner({f"podman {key}": answer for key, answer in known.items()})
    return Podman(runner, engine_info()), runner


# Recorded answers.


def test_info() -> None:
    """The facts of podman 4.3.1 on Debian 12 are read from its own words."""
    found = decode_info(recorded("info.json"))
    assert (found.name, found.version, found.rootless) == ("podman", "4.3.1", False)
    assert (found.cgroup_version, found.cgroup_manager) == (1, "cgroupfs")
    assert "memory" in found.cgroup_controllers
    assert (found.network_backend, found.runtime) == ("netavark", "crun")
    assert (found.storage_driver, found.storage_filesystem) == ("overlay", "extfs")
    assert found.storage_path == "/var/lib/containers/storage"
    assert (found.architecture, found.cpus, found.memory) == ("amd64", 2, 25276502016)
    assert (found.selinux, found.apparmor) == (False, False)


@pytest.mark.parametrize(
    ("change", "condition", "words"),
    [
        (("version", "Version", "3.4.4"), "engine_too_old", "podman 3.4.4 is older than 4.3"),
        (("version", "Version", "4.2.0"), "engine_too_old", "upgrade podman to 4.3 or later"),
        (("host", "networkBackend", "cni"), "network_backend_unsupported", "podman's network backend is cni"),
    ],
)
def test_info_refused(change: tuple[str, str, str], condition: str, words: str) -> None:
    """A podman that cannot hold nodes is refused with its reason."""
    facts = recorded("info.json")
    facts[change[0]][change[1]] = change[2]
    runner = TableRunner({"podman info": said(json.dumps(facts))})
    with fails(condition, words):
        assert Podman(runner).info


def test_info_is_asked_once() -> None:
    """podman is asked for its facts when first needed, once, and not where they were handed in."""
    runner = TableRunner({"podman info": raw("info.json")})
    asked = Podman(runner)
    assert asked.info is asked.info
    assert runner.commands == ["podman info --format json"]
    # Not of which packages its programs are, which takes dpkg longer than all the rest.
    assert not Path(runner.environments[0]["DPKG_ADMINDIR"]).exists()
    handed, untouched = engine()
    assert handed.info.version == "4.3.1"
    assert untouched.commands == []


@pytest.mark.parametrize("version", ["4.3", "4.3.1", "4.10.0", "5.4.2", "5.0.0-dev"])
def test_releases_that_are_supported(version: str) -> None:
    """Versions are compared by number."""
    podman.check_info(engine_info(version=version))


def test_network() -> None:
    """A network of both IP versions is read with its MTU and labels."""
    found = {item.name: item for item in map(decode_network, recorded("network-ls.json"))}
    ours = found["kictest-rec-net"]
    assert (ours.driver, ours.mtu) == ("bridge", 1400)
    assert ours.ranges == (
        Range.of("192.168.231.0/24", "192.168.231.1"),
        Range.of("fd12:3456:789a::/64", "fd12:3456:789a::1"),
    )
    assert ours.labels == {"nodeforge.kic.cluster": "kictest", "nodeforge.kic.schema": "1"}
    four, six = ours.range(4), ours.range(6)
    assert four is not None and six is not None
    assert (four.subnet.version, six.subnet.version) == (4, 6)
    default = found["podman"]
    assert (default.mtu, default.labels, default.range(6)) == (None, {}, None)


def test_volume() -> None:
    """A volume is read with its place, labels and options."""
    found = decode_volume(recorded("volume-inspect.json")[0])
    assert (found.name, found.driver, found.options) == ("kictest-rec-vol", "local", {})
    assert found.mountpoint == "/var/lib/containers/storage/volumes/kictest-rec-vol/_data"
    assert found.labels["nodeforge.kic.cluster"] == "kictest"


def test_image() -> None:
    """An image is read with its names, digests and configuration."""
    found = decode_image(recorded("image-inspect.json")[0])
    assert found.id == "47ff2184df821f40ec8d8cb06ce8a6608ecac047e4bb421292985555ee433aa6"
    assert found.tags == (KIC_IMAGE,)
    assert found.digests == ("sha256:45bf08bede1d575df4bbc37ffaaa9e55a129937dcf4eb7d8591008e42accdf25",)
    assert (found.size, found.architecture) == (512832366, "amd64")
    assert found.labels["nodeforge.kic.image.kubernetes-version"] == "v1.35.4"
    assert "container=docker" in found.environment
    assert found.entrypoint == ("/usr/local/bin/entrypoint", "/sbin/init")


@pytest.mark.parametrize(
    ("name", "status", "runs", "addresses", "exit_code"),
    [
        ("created", "created", False, (), 0),
        ("running", "running", True, ("192.168.231.10", "fd12:3456:789a::10"), 0),
        ("exited", "exited", False, (), 137),
    ],
)
def test_container(name: str, status: str, runs: bool, addresses: tuple[str, ...], exit_code: int) -> None:
    """A container is read in each of its states; addresses and a process it has only while it runs."""
    found = decode_container(recorded(f"container-inspect-{name}.json")[0])
    assert (found.id, found.name, found.status, found.running) == (NODE_ID, "kictest-rec-node", status, runs)
    assert found.addresses == {"kictest-rec-net": addresses}
    assert (found.pid > 0, found.exit_code) == (runs, exit_code)
    assert found.limits == Limits(memory=268435456, cpus=0.5, pids=512)
    assert (found.image_id, found.image_name) == (recorded("image-inspect.json")[0]["Id"], KIC_IMAGE)
    assert (found.runtime, found.error, found.oom_killed) == ("runc", "", False)
    assert found.environment["container"] == "podman"
    assert found.labels["nodeforge.kic.address"] == "192.168.231.10"


def test_container_that_failed() -> None:
    """What the engine says of a container's end is kept."""
    found = recorded("container-inspect-exited.json")[0]
    found["State"].update(Error="exec: no such file", OOMKilled=True)
    assert decode_container(found).error == "exec: no such file"
    assert decode_container(found).oom_killed


def test_status_of_podman_4() -> None:
    """The state that podman 4 calls configured is the one that podman 5 calls created."""
    found = recorded("container-inspect-created.json")[0]
    found["State"]["Status"] = "configured"
    assert decode_container(found).status == "created"


@pytest.mark.parametrize(
    ("host", "limits"),
    [
        ({}, Limits()),
        ({"Memory": 0, "NanoCpus": 0, "PidsLimit": 0, "CpuQuota": 0}, Limits()),
        ({"PidsLimit": -1, "CpuQuota": -1}, Limits()),
        ({"Memory": None, "NanoCpus": None, "PidsLimit": None}, Limits()),
        ({"Memory": 5, "NanoCpus": 1500000000, "PidsLimit": 7}, Limits(5, 1.5, 7)),
        ({"CpuQuota": 25000, "CpuPeriod": 50000}, Limits(cpus=0.5)),
        ({"CpuQuota": 25000}, Limits(cpus=0.25)),
    ],
    ids=["nothing", "zero", "minus one", "null", "all", "quota", "quota of the default period"],
)
def test_limits(host: dict[str, Any], limits: Limits) -> None:
    """Limits are read from either form of a processor limit; 0 and -1 are none."""
    assert decode_limits(host) == limits


# Recorded failures.


@pytest.mark.parametrize(
    ("about", "condition", "words"),
    [
        ("subnet taken", "subnet_overlap", "the subnet 192.168.231.0/24 overlaps a network of this host"),
        ("network name taken", "name_taken", "if it can go: podman network rm kictest-rec-net"),
        ("volume name taken", "name_taken", "a volume named kictest-rec-vol exists"),
        ("address taken", "address_taken", "the address 192.168.231.10 on network"),
        ("port taken", "port_taken", "the port 36444 of 127.0.0.1 is in use"),
        ("runtime unknown", "runtime_missing", "podman knows no runtime kictest-none"),
        ("image not in store", "engine_failed", "podman failed: doing it (exit code 125)"),
        ("ulimit too high", "engine_failed", "error setting rlimit type 6: operation not permitted"),
        ("network in use", "engine_failed", "(exit code 2)"),
        ("unknown option", "engine_failed", "unknown flag: --kictest-none"),
    ],
)
def test_explain_recorded(about: str, condition: str, words: str) -> None:
    """podman's words on a failure give its cause, and stand below it; what is not known is not guessed at."""
    error = explain(ERRORS[about], "doing it")
    assert error.diagnosis.id == condition
    assert words in str(error)
    assert error.diagnosis.output == ERRORS[about].words


@pytest.mark.parametrize(
    ("text", "condition", "words"),
    [
        ("rootlessport listen tcp 127.0.0.1:80: bind: address already in use", "port_taken", "port 80 of 127.0.0.1"),
        ("listen udp4 0.0.0.0:53: bind: address already in use", "port_taken", "port 53 of 0.0.0.0"),
        ("write /var/x: No space left on device", "disk_full", "podman system df"),
        (
            "crun: controller `cpuset` is not available under /sys/fs/cgroup/x/cgroup.controllers",
            "controller_not_delegated",
            "controller cpuset is not delegated",
        ),
        ('Error: OCI runtime "x" not found: invalid argument', "runtime_missing", "knows no runtime x."),
        ("Error: no valid executable found for OCI runtime kata", "runtime_missing", "knows no runtime kata."),
        (
            "Error: no valid executable found for OCI runtime kata: invalid argument",
            "runtime_missing",
            "knows no runtime kata.",
        ),
        pytest.param(
            "Error: OCI runtime error: crun: mount `proc` to `proc`: Operation not permitted",
            "engine_failed",
            "Operation not permitted",
        ),
        ("", "engine_failed", "podman failed: doing it (exit code 125)"),
    ],
)
def test_explain_text(text: str, condition: str, words: str) -> None:
    """Words that other releases and hosts were seen to say give their cause too."""
    error = explain(said(rc=125, err=text), "doing it")
    assert error.diagnosis.id == condition
    assert words in str(error)


@pytest.mark.parametrize(
    ("about", "condition"),
    [
        ("registry refuses the connection", "registry_unreachable"),
        ("manifest inspect refused", "registry_unreachable"),
        ("registry has no name", "registry_unreachable"),
        ("registry speaks HTTP", "registry_untrusted"),
        ("registry shows an unknown certificate", "registry_untrusted"),
        ("registry has no such image", "image_unknown"),
        ("registry asks for a login", "registry_refused"),
        ("registry forbids", "registry_refused"),
        ("runtime unknown", "runtime_missing"),
        ("unknown option", "engine_failed"),
    ],
)
def test_explain_registry_recorded(about: str, condition: str) -> None:
    """What a registry did is told apart by podman's words; anything else has its own cause."""
    error = explain_registry(ERRORS[about], "registry.example/team/node:v1", 5, "pulling")
    assert error.diagnosis.id == condition
    assert error.diagnosis.output == ERRORS[about].words


RESET = "read tcp 10.0.0.2:40326->10.0.0.9:443: read: connection reset by peer"


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("initializing source docker://ghcr.io/x:v1: reading manifest v1 in ghcr.io/x: denied", "registry_refused"),
        ("reading manifest v1 in r.example/x: denied: not for you", "registry_refused"),
        ("open /var/tmp/x: permission denied", "engine_failed"),
        (
            'Get "https://r.example/v2/": tls: first record does not look like a TLS handshake',
            "registry_untrusted",
        ),
        ('Get "https://r.example/v2/": net/http: TLS handshake timeout', "registry_unreachable"),
        (f'Get "https://r.example/v2/": {RESET}', "registry_unreachable"),
        (f'Get "https://r.example/v2/x/blobs/sha256:1": {RESET}', "pull_interrupted"),
        (f"copying system image from manifest list: {RESET}", "pull_interrupted"),
    ],
    ids=[
        "denied at the end",
        "denied with a reason",
        "denied by this machine",
        "no TLS",
        "slow TLS",
        "reset at the first word",
        "reset at a layer",
        "reset in a layer",
    ],
)
def test_explain_registry_text(text: str, condition: str) -> None:
    """Words that other registries were seen to say give their cause too."""
    error = explain_registry(said(rc=125, err=f"Error: {text}"), "registry.example/team/node:v1", 5, "pulling")
    assert error.diagnosis.id == condition
    assert error.diagnosis.output == f"Error: {text}"


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("localhost:5000/team/node:v1", "podman search --list-tags localhost:5000/team/node"),
        ("registry.example/node@sha256:12", "podman search --list-tags registry.example/node"),
    ],
)
def test_fix_names_repository(reference: str, words: str) -> None:
    """The command that lists tags has the repository without tag and digest, also where the registry has a port."""
    error = explain_registry(said(rc=125, err="manifest unknown"), reference, 5, "pulling")
    assert error.diagnosis.fix.endswith(words)


def test_registry_of_fix() -> None:
    """The commands that look at a registry or log in name it."""
    refused = explain_registry(ERRORS["registry asks for a login"], "registry.example:5000/a/b:1", 5, "pulling")
    assert "podman login registry.example:5000" in str(refused)


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
        "--systemd=false",
        "--tty",
        "--log-driver=k8s-file",
        "--log-opt=max-size=10mb",
        "--cgroupns=private",
        "--uts=private",
        "--ipc=private",
        "--pid=private",
        "--userns=host",
        "--cgroups=enabled",
        "--network=private",
        "--umask=0022",
        "--env-host=false",
        "--read-only=false",
        "--no-hosts=false",
        "--stop-signal=SIGRTMIN+3",
        "--restart=no",
        "--privileged",
        "--env",
        "container=podman",
        "--pids-limit=-1",
        "img:1",
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"restart_policy": "always"}, ["--restart=always"]),
        ({"env": {"B": "2 3", "A": "x=y"}}, ["--env", "A", "--env", "B"]),
        ({"tmpfs": {"/run": "rw,exec"}}, ["--tmpfs", "/run:rw,exec"]),
        ({"volume": "data"}, ["--volume", "data:/var:suid,exec,dev"]),
        ({"mounts": (Mount("/a", "/b"),)}, ["--volume", "/a:/b:rw,rprivate"]),
        (
            {"mounts": (Mount("/a", "/b", True, "rshared", "shared"),)},
            ["--volume", "/a:/b:ro,rshared,z"],
        ),
        ({"mounts": (Mount("/a", "/b", relabel="private"),)}, ["--volume", "/a:/b:rw,rprivate,Z"]),
        ({"devices": ("/dev/fuse",)}, ["--device", "/dev/fuse"]),
        ({"network": "kic"}, ["--network", "kic"]),
        ({"ip": "10.0.0.2", "ip6": "fd00::2"}, ["--ip", "10.0.0.2", "--ip6", "fd00::2"]),
        (
            {"publish": (Publication(6443, "tcp", "127.0.0.1", 40000),)},
            ["--publish", "127.0.0.1:40000:6443/tcp"],
        ),
        ({"publish": (Publication(53, "udp", "::1", 53),)}, ["--publish", "[::1]:53:53/udp"]),
        ({"limits": Limits(pids=5)}, ["--pids-limit=5"]),
        ({"limits": Limits(memory=1024)}, ["--pids-limit=-1", "--memory=1024b", "--memory-swap=1024b"]),
        ({"limits": Limits(cpus=1.5)}, ["--cpus=1.5"]),
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
    found.create_container(replace(NEW, env={"A": "S3CRET", "PATH": "/S3CRET"}))
    assert "S3CRET" not in runner.commands[0]
    assert runner.environments[0]["A"] == "S3CRET" and "PATH" not in runner.environments[0]
    assert runner.stdin[0] == b"PATH=/S3CRET\n"


def test_create_arguments_without_privileges() -> None:
    """A node without privileges has podman's systemd mode, which makes its control group writable."""
    arguments = create_arguments(replace(NEW, privileged=False))
    assert "--systemd=always" in arguments
    assert "--privileged" not in arguments


def test_create_arguments_without_volumes_of_the_image() -> None:
    """The image's volumes are left out but for those that are named."""
    arguments = create_arguments(replace(NEW, image_volumes=("/srv",)))
    assert arguments[arguments.index("--image-volume=ignore") :][1:3] == ["--volume", "/srv"]
    assert "--image-volume=ignore" not in create_arguments(NEW)


def test_create_container() -> None:
    """The runtime is podman's own option and stands before the command; the id is the last word of the answer."""
    found, runner = engine(**{"--runtime runc create": said("some warning\nabc\n"), "create": said("def\n")})
    assert found.create_container(replace(NEW, runtime="runc")) == "abc"
    assert found.create_container(NEW) == "def"
    assert runner.commands[0].startswith("podman --runtime runc create --name node-1 ")


def test_create_container_conflict() -> None:
    """A name that another took meanwhile is a conflict, and nothing else is."""
    found, _runner = engine(create=ERRORS["container name taken"])
    with fails("name_conflict", "a container named node-1 was made by another run"):
        found.create_container(NEW)
    found, _runner = engine(create=said(rc=125, err="Error: the lock file is already in use"))
    with fails("engine_failed", "already in use"):
        found.create_container(NEW)
    found, _runner = engine(create=ERRORS["image not in store"])
    with fails("engine_failed", "creating the container node-1", "image not known"):
        found.create_container(NEW)


@pytest.mark.parametrize(
    ("network", "command"),
    [
        (
            Network("", "kic", "bridge", (Range.of("10.0.0.0/24", "10.0.0.1"),), 1400, {"a": "1"}),
            "--subnet 10.0.0.0/24 --gateway 10.0.0.1 --opt mtu=1400 --label a=1 -- kic",
        ),
        (
            Network("", "kic", "bridge", (Range.of("10.0.0.0/24", None), Range.of("fd00::/64", "fd00::1")), None, {}),
            "--subnet 10.0.0.0/24 --subnet fd00::/64 --gateway fd00::1 --ipv6 -- kic",
        ),
    ],
    ids=["IPv4", "both"],
)
def test_create_network(network: Network, command: str) -> None:
    """A network is made with its ranges, MTU and labels."""
    found, runner = engine(network_create=said("kic\n"))
    found.create_network(network)
    assert runner.commands == [f"podman network create --driver bridge {command}"]


def test_create_network_where_another_was_faster() -> None:
    """A subnet that was taken meanwhile is told as that."""
    found, _runner = engine(network_create=ERRORS["subnet taken"])
    with fails("subnet_overlap", "192.168.231.0/24"):
        found.create_network(Network("", "kic", "bridge", (), None, {}))


def test_create_volume_with_a_secret() -> None:
    """It comes on standard input, with the owners that podman would take out of the options."""
    found, runner = engine(kube_play=said("data\n"))
    options = {"type": "cifs", "device": "//nas/x", "o": "uid=5,password=S3CRET"}
    found.create_volume(Volume("data", "local", "", {"a": "1"}, options))
    assert runner.commands == ["podman kube play --network=none -"]
    given = json.loads(runner.stdin[0] or b"")
    assert given["metadata"]["labels"] == {"a": "1"}
    assert given["metadata"]["annotations"] == {
        "volume.podman.io/driver": "local",
        "volume.podman.io/type": "cifs",
        "volume.podman.io/device": "//nas/x",
        "volume.podman.io/mount-options": "uid=5,password=S3CRET",
        "volume.podman.io/uid": "5",
    }
    with fails("invalid_option", "podman takes special only as an argument"):
        found.create_volume(Volume("data", "local", "", {}, {"special": "1"}))


def test_create_volume() -> None:
    """A volume is made with its options and labels."""
    found, runner = engine(volume_create=said("data\n"))
    found.create_volume(Volume("data", "local", "", {"a": "1"}, {"type": "tmpfs", "device": "tmpfs"}))
    assert runner.commands == [
        "podman volume create --driver local --opt type=tmpfs --opt device=tmpfs --label a=1 -- data"
    ]


INSPECTS: list[tuple[str, str, Callable[[Podman], Any]]] = [
    ("image", "image-inspect.json", lambda found: found.image(KIC_IMAGE)),
    ("container", "container-inspect-running.json", lambda found: found.container("kictest-rec-node")),
]


@pytest.mark.parametrize(("kind", "name", "look"), INSPECTS, ids=[item[0] for item in INSPECTS])
def test_inspect(kind: str, name: str, look: Callable[[Podman], Any]) -> None:
    """What is there is found; what exists denies is not there; any other failure is an error, not absence."""
    there, _runner = engine(**{f"{kind} inspect": raw(name)})
    assert look(there) is not None
    gone = {f"{kind} inspect": ERRORS[f"inspect missing {kind}"], f"{kind} exists": ERRORS[f"exists missing {kind}"]}
    absent, runner = engine(**gone)
    assert look(absent) is None
    assert len(runner.commands) == 2
    broken = {f"{kind} inspect": said(rc=125, err="Error: database is locked"), f"{kind} exists": said(rc=125)}
    failing, _runner = engine(**broken)
    with fails("engine_failed", "database is locked", f"inspecting the {kind}"):
        look(failing)


class LateRunner(TableRunner):
    """The first question finds nothing, as when another run makes the thing right after it."""

    def run(self, argv: Sequence[str], **more: Any) -> CommandResult:
        """Answer the first inspection as of what is missing."""
        found = super().run(argv, **more)
        return ERRORS["inspect missing image"] if len(self.commands) == 1 else found


def test_made_between_two_questions() -> None:
    """What another run makes after the first look and before the second question is found, and no failure."""
    runner = LateRunner({"podman image inspect": raw("image-inspect.json"), "podman image exists": said(rc=0)})
    assert Podman(runner).image(KIC_IMAGE) is not None
    assert len(runner.commands) == 3


def test_only_the_very_name() -> None:
    """podman takes the beginning of a name or id for the whole; a container is also found by its id."""
    found, _runner = engine(
        volume_ls=raw("volume-inspect.json"), container_inspect=raw("container-inspect-running.json")
    )
    assert found.volume("kictest") is None
    assert found.volume("kictest-rec-vol") is not None
    assert found.container(NODE_ID[:12]) is None
    by_id = found.container(NODE_ID)
    assert by_id is not None
    assert by_id.name == "kictest-rec-node"


def test_lists() -> None:
    """Networks, volumes, images and containers are listed; with a label only those that carry it are requested."""
    found, runner = engine(
        network_ls=raw("network-ls.json"),
        volume_ls=raw("volume-inspect.json"),
        images=said("sha256:47ff\nsha256:47ff\n"),
        image_inspect=raw("image-inspect.json"),
        ps=said(f"{NODE_ID}\n"),
        container_inspect=raw("container-inspect-running.json"),
    )
    assert [item.name for item in found.networks()] == ["kictest-rec-net", "podman"]
    assert [item.name for item in found.volumes("a=b")] == ["kictest-rec-vol"]
    assert [item.tags for item in found.images("a")] == [(KIC_IMAGE,)]
    assert [item.name for item in found.containers("nodeforge.kic.schema=1")] == ["kictest-rec-node"]
    assert "podman volume ls --filter label=a=b --format json" in runner.commands
    assert "podman image inspect -- sha256:47ff" in runner.commands
    assert "podman ps --all --no-trunc --quiet --filter label=nodeforge.kic.schema=1" in runner.commands


def test_list_of_what_goes_meanwhile() -> None:
    """What somebody removed between the list and the look is left out; what cannot be looked at is an error."""
    listed: dict[str, CommandResult | Exception] = {
        "podman ps": said(f"gone {NODE_ID}\n"),
        f"podman container inspect -- gone {NODE_ID}": ERRORS["inspect missing container"],
        "podman container inspect -- gone": ERRORS["inspect missing container"],
        f"podman container inspect -- {NODE_ID}": raw("container-inspect-running.json"),
        "podman container exists -- gone": ERRORS["exists missing container"],
        "podman image inspect": raw("image-inspect.json"),
    }
    found = Podman(TableRunner(listed), engine_info()).containers("nodeforge.kic.schema")
    assert [item.name for item in found] == ["kictest-rec-node"]
    locked = said(rc=125, err="Error: database is locked")
    failing = {**listed, "podman container inspect": locked, "podman container exists": locked}
    del failing[f"podman container inspect -- {NODE_ID}"]
    with fails("engine_failed", "database is locked"):
        Podman(TableRunner(failing), engine_info()).containers("a")


def test_empty_lists() -> None:
    """Where nothing is, nothing is inspected; podman may also answer null."""
    found, runner = engine(network_ls=said("null"), volume_ls=said("[]"), images=said("\n"), ps=said(""))
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
def test_attached(look: Callable[[Podman], list[Attached]], use: str) -> None:
    """Users are listed by id, name and labels, those that do not run among them."""
    found, runner = engine(ps=raw("ps.json"))
    (user,) = look(found)
    assert (user.id, user.name) == (NODE_ID, "kictest-rec-node")
    assert user.labels["nodeforge.kic.schema"] == "1"
    assert runner.commands[0] == f"podman ps --all --no-trunc --filter {use} --format json"


REMOVES: list[tuple[str, Callable[[Podman], None]]] = [
    ("network", lambda found: found.remove_network("x")),
    ("volume", lambda found: found.remove_volume("x")),
    ("image", lambda found: found.remove_image("x")),
]


@pytest.mark.parametrize(("kind", "remove"), REMOVES, ids=[item[0] for item in REMOVES])
def test_remove(kind: str, remove: Callable[[Podman], None]) -> None:
    """What goes is removed; what is gone already is fine; what stays is an error."""
    done, runner = engine(**{f"{kind} rm": said()})
    remove(done)
    assert runner.commands == [f"podman {kind} rm -- x"]
    gone, _runner = engine(**{f"{kind} rm": ERRORS["remove missing network"], f"{kind} exists": said(rc=1)})
    remove(gone)
    stays, _runner = engine(**{f"{kind} rm": ERRORS["volume in use"], f"{kind} exists": said(rc=0)})
    with fails("engine_failed", f"removing the {kind} x", "is being used"):
        remove(stays)


def test_remove_container() -> None:
    """A container is stopped and removed within a time; one that is gone already is fine."""
    done, runner = engine(rm=said())
    done.remove_container("x", 7)
    assert runner.commands == ["podman rm --force --volumes --time 7 x"]
    gone, _runner = engine(rm=said(rc=125, err="no such container"), container_exists=said(rc=1))
    gone.remove_container("x", 0)
    stays, _runner = engine(rm=said(rc=125, err="busy"), container_exists=said(rc=0))
    with fails("engine_failed", "removing the container x", "busy"):
        stays.remove_container("x", 0)
    # 4.3.1, of a container whose process and conmon were killed.
    words = (
        "Error: cannot remove container x as it could not be stopped: timed out waiting for file /run/libpod/exits/x"
    )
    lost, runner = engine(rm=said(rc=125, err=words), container_exists=said(rc=1))
    lost.remove_container("x", 0)
    assert runner.commands == ["podman rm --force --volumes --time 0 x"] * 2 + ["podman container exists -- x"]


def test_stop_of_one_without_its_monitor() -> None:
    """Its process has ended; that podman waited in vain for the word of it is no failure, others are."""
    words = "Error: timed out waiting for file /run/libpod/exits/x: internal libpod error"
    lost, runner = engine(stop=said(rc=125, err=words))
    lost.stop_container("x", 5)
    assert runner.commands == ["podman stop --time 5 x"]
    failed, _runner = engine(stop=said(rc=125, err="busy"))
    with fails("engine_failed", "stopping the container x", "busy"):
        failed.stop_container("x", 5)


def test_rename_container() -> None:
    """A container gets another name, unless another one has it."""
    done, runner = engine(rename=said())
    done.rename_container("x", "y")
    assert runner.commands == ["podman rename x y"]
    words = (
        "Error: renaming container 2b14: name y already in use, cannot rename container 2b14: container already exists"
    )
    taken, _runner = engine(rename=said(rc=125, err=words))
    with fails("name_conflict", "a container named y"):
        taken.rename_container("x", "y")
    failed, _runner = engine(rename=said(rc=125, err="busy"))
    with fails("engine_failed", "renaming the container x to y", "busy"):
        failed.rename_container("x", "y")


def test_container_commands() -> None:
    """What is done to a container is one command each."""
    found, runner = engine(start=said(), stop=said(), pause=said(), unpause=said(), cp=said())
    found.start_container("x")
    found.stop_container("x", 30)
    found.pause_container("x")
    found.resume_container("x")
    found.put_files("x", b"tar")
    assert runner.commands == [
        "podman start x",
        "podman stop --time 30 x",
        "podman pause x",
        "podman unpause x",
        "podman cp - x:/",
    ]
    assert runner.stdin[-1] == b"tar"
    # Whatever podman leaves there is gone.
    assert not Path(runner.environments[-1]["TMPDIR"]).exists()


@pytest.mark.parametrize(("about", "condition"), [("address taken", "address_taken"), ("port taken", "port_taken")])
def test_start_where_another_was_faster(about: str, condition: str) -> None:
    """An address or port that was taken meanwhile is told as that."""
    found, _runner = engine(start=ERRORS[about])
    with fails(condition):
        found.start_container("x")


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        ("4.3.1", {"memory", "cpus"}),
        ("4.4.0", {"memory", "cpus", "pids"}),
        ("4.10.0", {"memory", "cpus", "pids"}),
        ("5.4.2", {"memory", "cpus", "pids"}),
    ],
)
def test_updatable(version: str, fields: set[str]) -> None:
    """Which limits can be changed in place depends on podman's release."""
    assert Podman(TableRunner({}), engine_info(version=version)).updatable == fields


@pytest.mark.parametrize(
    ("limits", "commands"),
    [
        (Limits(cpus=1.5), ["podman update --cpus=1.5 x"]),
        (Limits(memory=1024), ["podman update --memory=1024b --memory-swap=1024b x"]),
        (Limits(pids=9), ["podman update --pids-limit=9 x"]),
        (Limits(), []),
    ],
    ids=["cpus", "memory", "pids", "none"],
)
def test_update_limits(limits: Limits, commands: list[str]) -> None:
    """Only limits that are given are changed."""
    found, runner = engine(update=said())
    found.update_limits("x", limits)
    assert runner.commands == commands


def test_logs() -> None:
    """The console's line ends are made plain; a log that cannot be read is empty."""
    found, runner = engine(logs=said("one\r\ntwo\r\n"))
    assert found.logs("x", 5) == "one\ntwo\n"
    assert runner.commands == ["podman logs --tail 5 x"]
    assert engine(logs=said(rc=125, err="Error: x"))[0].logs("x", 5) == ""


def test_log_that_does_not_end() -> None:
    """A log is waited for a limited time, and one that does not come is empty, not another failure."""
    found, runner = engine(logs=said("half", rc=124))
    assert found.logs("x", 5) == ""
    assert runner.timeouts != [None]
    assert engine(logs=CommandNotFound("podman"))[0].logs("x", 5) == ""


def test_image_commands() -> None:
    """Images are loaded, named and pulled by one command each."""
    found, runner = engine(load=said(), tag=said(), pull=said("id\n"))
    found.load_image("/a.tar")
    found.tag_image("id", "x:1")
    found.pull_image("r.example/x:1", 5)
    assert runner.commands == [
        "podman load --quiet --input /a.tar",
        "podman tag id x:1",
        "podman pull --quiet r.example/x:1",
    ]


def test_load_of_no_archive() -> None:
    """podman's words on a file that is not an archive are shown whole."""
    found, _runner = engine(load=ERRORS["not an archive"])
    with fails("engine_failed", "loading the images of /a.tar", "docker-archive: loading tar component"):
        found.load_image("/a.tar")


def test_pull_is_explained() -> None:
    """A failed pull is told by what the registry did."""
    found, _runner = engine(pull=ERRORS["registry has no such image"])
    with fails("image_unknown", "the registry has no image r.example/x:1"):
        found.pull_image("r.example/x:1", 5)


SINGLE = {"schemaVersion": 2, "config": {"mediaType": 'a"b', "digest": "sha256:cd"}, "layers": []}
LIST = {
    "manifests": [
        {"digest": "sha256:1", "platform": {"architecture": "amd64", "os": "linux"}},
        {"digest": "sha256:2", "platform": {"architecture": "unknown", "os": "unknown"}},
    ]
}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (said(json.dumps(LIST)), Offered(platforms=(("amd64", "sha256:1"),))),
        (said(json.dumps(SINGLE)), Offered("cd")),
        # As 4.3.1 tells it, Go's quoting and all.
        (
            said(
                rc=125,
                err=f"Error: parsing manifest blob {json.dumps(json.dumps(SINGLE))} as a"
                ' "application/vnd.oci.image.manifest.v1+json": Treating single images as manifest lists is not implemented',
            ),
            Offered("cd"),
        ),
        (said(rc=125, err="Error: parsing manifest blob: Treating single images as manifest lists is not"), Offered()),
        (said("{}"), Offered()),
        (said("no JSON"), Offered()),
    ],
    ids=["list", "single image", "single image of 4.3", "told otherwise", "empty", "unreadable"],
)
def test_registry_has_it(answer: CommandResult, expected: Offered) -> None:
    """A manifest is an answer of the registry, whether it is of a list or of one image, and however podman tells it."""
    assert engine(manifest_inspect=answer)[0].ask_registry("r.example/x:1", 5) == expected


@pytest.mark.parametrize(
    ("answer", "condition", "words"),
    [
        (ERRORS["manifest inspect refused"], "registry_unreachable", "curl --head https://r.example/v2/"),
        (said(rc=124, err="trying"), "registry_unreachable", "cannot be reached within 5 seconds"),
        (said(rc=125, err="reading manifest: unauthorized"), "registry_refused", "podman login r.example"),
    ],
    ids=["refused", "silent", "unauthorized"],
)
def test_registry_has_it_not(answer: CommandResult, condition: str, words: str) -> None:
    """A registry that does not answer in time counts as one that cannot be reached."""
    with fails(condition, words):
        engine(manifest_inspect=answer)[0].ask_registry("r.example/x:1", 5)


def test_podman_is_not_installed() -> None:
    """Without podman the message says how to install it."""
    runner = TableRunner({"podman": CommandNotFound("podman")})
    with fails("engine_not_installed", "podman is not installed", "apt-get install podman"):
        Podman(runner).networks()


def test_answer_that_is_no_json() -> None:
    """An answer that cannot be read is shown."""
    found, _runner = engine(network_ls=said("Cannot connect"))
    with fails("engine_failed", "listing networks", "Cannot connect"):
        found.networks()


@pytest.mark.parametrize(
    ("kind", "look"), [(item[0], item[2]) for item in INSPECTS], ids=[item[0] for item in INSPECTS]
)
def test_inspection_that_is_no_json(kind: str, look: Callable[[Podman], Any]) -> None:
    """So is one on a single thing, which is neither there nor absent then."""
    found, runner = engine(**{f"{kind} inspect": said("Cannot connect")})
    with fails("engine_failed", f"inspecting the {kind}", "Cannot connect"):
        look(found)
    assert len(runner.commands) == 1


def test_inspection_of_many_that_is_no_json() -> None:
    """So is one on all that was listed."""
    found, _runner = engine(ps=said("x"), container_inspect=said("Cannot connect"))
    with fails("engine_failed", "inspecting containers", "Cannot connect"):
        found.containers("a")


def test_call_and_its_time() -> None:
    """A call that was ended at its limit is told by what it did, its seconds and the way out; 124 of its own is not."""
    found, _runner = engine(exec=said(rc=124, err="slow"))
    with fails("timed_out", "waiting (podman exec) did not end within 3 seconds", "podman ps --all"):
        found.call(["exec", "x"], action="waiting", timeout=3)
    with fails("timed_out", "within 60 seconds"):
        found.call(["exec", "x"], action="waiting", check=False)
    found, _runner = engine(exec=replace(said(rc=124), late=False))
    assert found.call(["exec", "x"], action="waiting", check=False).rc == 124


def test_exec() -> None:
    """A command inside a container has standard input only where there is something for it."""
    found, runner = engine(exec=said("out"))
    assert found.exec("x", ["cat", "/a b"]).out == "out"
    found.exec("x", ["tee"], stdin=b"text")
    direct = " ".join(without_proxy(["exec"])[1:])
    assert runner.commands == [f"podman exec {direct} x cat /a b", f"podman exec {direct} --interactive x tee"]
    assert runner.stdin == [None, b"text"]
    failing, _runner = engine(exec=ERRORS["exec in a container that does not run"])
    with fails("engine_failed", "running cat in x", "exit code 255"):
        failing.exec("x", ["cat"])


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """root's podman gets nothing; another user's gets its own home and run-time directory, whatever the variables say."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert client_environment() == {}
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    monkeypatch.setenv("HOME", "/root")
    for inherited, expected in (("", None), ("/proc/1/fd", ""), ("/nonexistent", "")):
        monkeypatch.setenv("XDG_RUNTIME_DIR", inherited)
        found = client_environment()
        assert found["HOME"] not in ("", "/root")
        assert found.get("XDG_RUNTIME_DIR") == expected, inherited
    runtime_directory = os.path.isdir
    monkeypatch.setattr(os.path, "isdir", lambda path: path == "/run/user/1" or runtime_directory(path))
    assert client_environment()["XDG_RUNTIME_DIR"] == "/run/user/1"


def test_ranges() -> None:
    """A range is read from an engine's text, host bits and all."""
    found = Range.of("10.0.0.1/24", "10.0.0.1")
    assert found.subnet == ipaddress.ip_network("10.0.0.0/24")
    assert found.gateway == ipaddress.ip_address("10.0.0.1")


@pytest.mark.parametrize(
    ("words", "program"),
    [
        # 4.3.1 with netavark 1.4.0, on a bare Debian 12.
        ("Error: unable to start container 1: netavark: No such file or directory (os error 2)", "iptables or nft"),
        (
            "Error: netavark: nftables error: unable to execute nft: No such file or directory (os error 2)",
            "nft",
        ),
    ],
)
def test_missing_packet_filter(words: str, program: str) -> None:
    """A machine without the program that netavark runs: the entry names it and the package."""
    found = podman.explain(CommandResult(("podman",), 126, b"", words.encode()), "starting a container").diagnosis
    assert found.id == "packet_filter_missing"
    assert f"the program {program} to connect" in found.cause
    assert "apt-get install iptables nftables" in found.fix
    assert found.output == words


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
    listed, _runner = engine(ps=raw("ps.json"), **answers)
    assert "nodeforge.kic.schema" not in listed.attached_to_network("kic")[0].labels


def test_container_that_names_its_image() -> None:
    """It is ours without a question to the engine: no image can hold its own id."""
    (item,) = recorded("container-inspect-running.json")
    item["Config"]["Labels"]["nodeforge.kic.created-from"] = item["Image"].rpartition(":")[2]
    one, runner = engine(ps=said(item["Id"]), container_inspect=said(json.dumps([item])))
    assert [found.id for found in one.containers("nodeforge.kic.schema")] == [item["Id"]]
    assert not [command for command in runner.commands if "image" in command]


@pytest.mark.parametrize("text", ["a,b", 'say "x"', "two\nlines", "a\rb", '{"a": [1, 2]}'], ids=ascii)
@pytest.mark.parametrize("in_key", [False, True], ids=["value", "key"])
def test_create_volume_with_a_label_that_is_no_word(text: str, in_key: bool) -> None:
    """``volume create`` reads a label as a line of CSV; on standard input it is what it is."""
    found, runner = engine(kube_play=said("data\n"))
    given = {"plain": "1", **({text: "x"} if in_key else {"x": text})}
    found.create_volume(Volume("data", "local", "", given, {}))
    assert runner.commands == ["podman kube play --network=none -"]
    claim = json.loads(runner.stdin[0] or b"")
    assert claim["kind"] == "PersistentVolumeClaim"
    assert claim["metadata"] == {
        "name": "data",
        "labels": given,
        "annotations": {"volume.podman.io/driver": "local"},
    }


@pytest.mark.parametrize("text", ["", "a b", "a=b", "a:b;c", "ä", "'", "[1]"])
def test_create_volume_with_other_labels(text: str) -> None:
    """They are arguments, as they were."""
    found, runner = engine(volume_create=said("data\n"))
    found.create_volume(Volume("data", "local", "", {"x": text}, {}))
    assert runner.commands == [f"podman volume create --driver local --label x={text} -- data"]
