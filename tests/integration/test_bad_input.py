# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bad input to the modules gets one clear error, and nothing on the engine has changed after it."""

from __future__ import annotations

import ipaddress
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import Client

Module = Callable[..., dict[str, Any]]

PREFIX = "kictest-bad"
DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True)
class Row:
    """What is requested, and the words of the refusal. ``{…}`` is filled from the world."""

    module: str
    params: Mapping[str, Any]
    id: str
    words: str

    def __str__(self) -> str:
        shown = ",".join(
            f"{key}={value}" for key, value in self.params.items() if key not in ("name", "image", "volume")
        )
        return f"{self.module}:{shown or self.params.get('name')}"[:70]


def network(words: str, condition: str = "invalid_option", /, **params: Any) -> Row:
    """A network that is refused."""
    return Row("oci_network", {"name": f"{PREFIX}-network", **params}, condition, words)


def node(words: str, condition: str = "invalid_option", /, **params: Any) -> Row:
    """A node that is refused."""
    plain = {"name": f"{PREFIX}-node", "image": "{image}", "volume": "none"}
    return Row("kic_node", {**plain, **params}, condition, words)


def image(words: str, condition: str = "invalid_option", /, **params: Any) -> Row:
    """An image that is refused."""
    return Row("oci_image", {"name": f"localhost/{PREFIX}:1", **params}, condition, words)


BAD_NAMES = {"": "name: is empty", "a/b": "is not a name", "-rf": "is not a name", "two words": "is not a name"}

ROWS = [
    *(Row(module, {"name": name}, "invalid_option", words) for module in ("oci_network", "oci_volume") for name, words in BAD_NAMES.items()),
    *(node(words, name=name) for name, words in BAD_NAMES.items()),
    *(Row(module, {"name": "n" * 129}, "invalid_option", "at most 128") for module in ("oci_network", "oci_volume")),
    node("at most 128", name="n" * 129),
    node("2 problems: (1) name: 'a/b' is not a name", name="a/b", memory="lots"),
    *(Row("kic_node_info", {"name": name}, "invalid_option", words) for name, words in BAD_NAMES.items()),
    Row("kic_node_info", {"cluster": "../etc"}, "invalid_option", "cluster: '../etc' is not a name"),
    network("cluster: '../etc' is not a name", cluster="../etc"),
    network("subnet: 'here' is not a CIDR", subnet="here"),
    network("subnet: '10.0.0.0' is not a CIDR", subnet="10.0.0.0"),
    network("subnet: '10.0.0.0/33' is not a CIDR", subnet="10.0.0.0/33"),
    network("'192.168.5.1/24' has host bits set. Fix: write 192.168.5.0/24", subnet="192.168.5.1/24"),
    network("is not IPv4", subnet="fd00::/64"),
    network("is not IPv6", subnet6="10.0.0.0/24"),
    network("cannot hold nodes", subnet="10.0.0.0/30"),
    network("cannot hold nodes", prefix=31),
    network("pools: none of them can hold a /24", pools=["10.0.0.0/28"]),
    network("pools: 'x' is not a CIDR", pools=["x"]),
    network("avoid: 'x' is not a CIDR", avoid=["x"]),
    network("overlaps 10.0.0.0/8, which the option avoid names", "subnet_overlap", subnet="10.9.0.0/24", avoid=["10.0.0.0/8"]),
    network("overlaps the network {network}", "subnet_overlap", subnet="{subnet}"),
    network("overlaps a route of this host to {route}", "subnet_overlap", subnet="{route}"),
    network("gateway: needs a subnet", gateway="10.0.0.1"),
    network("is outside the subnet", subnet="10.9.0.0/24", gateway="10.8.0.1"),
    network("gateway: 'x' is not an IP address", subnet="10.9.0.0/24", gateway="x"),
    network("is the network or broadcast address", subnet="10.9.0.0/24", gateway="10.9.0.255"),
    network("mtu: 67 is outside", mtu=67),
    network("has the prefix of the collection's own labels", labels={"nodeforge.kic.cluster": "x"}),
    Row("oci_volume", {"name": f"{PREFIX}-volume", "labels": {"a b": "c"}}, "invalid_option", "is not a label key"),
    Row("oci_volume", {"name": f"{PREFIX}-volume", "labels": {"a": True}}, "invalid_option", "quote it"),
    image("is not an image name", name="UPPER/case"),
    image("is empty", name=""),
    image("is not an image name", name="-rf"),
    image("does not end in a valid digest", name=f"example.invalid/x@{DIGEST[:-1]}"),
    image("is not a digest", digest="sha256:short"),
    image("is not an absolute path", source="archive", archive="here.tar"),
    image("archive: is missing", source="archive"),
    image("names no registry", source="registry"),
    image(f"the image localhost/{PREFIX}:1 is not in podman's store", "image_missing", source="local"),
    image(f"the image localhost/{PREFIX}:1 is not in podman's store", "image_missing"),
    image("there is no archive /nowhere/x.tar", "archive_missing", source="archive", archive="/nowhere/x.tar"),
    image("not an archive of images", "archive_unusable", source="archive", archive="{file}"),
    node("the image localhost/kictest-none:latest is not in podman's store", "image_missing", image="localhost/kictest-none"),
    node("is not an image name", image="no image"),
    node(f"the volume {PREFIX}-none does not exist", "volume_missing", volume=f"{PREFIX}-none"),
    node(f"the network {PREFIX}-none does not exist", "network_missing", network=f"{PREFIX}-none"),
    node("is outside the subnet", network="{network}", ip="{outside}"),
    node("is the gateway of {network}", network="{network}", ip="{gateway}"),
    node("is the network or broadcast address", network="{network}", ip="{broadcast}"),
    node("ip: 'x' is not an IP address", network="{network}", ip="x"),
    node("is not IPv4", network="{network}", ip="fd00::1"),
    node("no network is named", ip="10.9.0.9"),
    node("has no IPv6 subnet", network="{network}", ip6="fd00::1"),
    node("is more than the {cpus} processors of this machine", "limit_beyond", cpus="{too_many_cpus}"),
    node("cpus: 0 is not a number of processors", cpus=0),
    node("of this machine", "limit_beyond", memory="64t"),
    *(node(f"memory: {text!r} is not a size", memory=text) for text in ("lots", "", "-1g", "4 apples", "1e9")),
    node("is too little for any systemd", memory="1k"),
    node("pids_limit: 0 is not a number", pids_limit=0),
    node("ulimits: nofile", "ulimit_too_high", ulimits={"nofile": 1 << 62}),
    node("is not a limit for nofile", ulimits={"nofile": "2:1"}),
    node("hostname: 'no_host' is not a host name", hostname="no_host"),
    node("there is no /nowhere on this machine", mounts=[{"source": "/nowhere", "target": "/mnt"}]),
    node("is not an absolute path", mounts=[{"source": "{file}", "target": "mnt"}]),
    node("would be mounted twice", mounts=[{"source": "{file}", "target": "/mnt"}] * 2),
    node("there is no /dev/kictest-none", devices=["/dev/kictest-none"]),
    node("is not a device", devices=["/etc/passwd"]),
    node("publish.port: 0 is not a port", publish=[{"port": 0}]),
    node("publish.host_port: 65536 is not a port", publish=[{"port": 80, "host_port": 65536}]),
    node("is published twice", publish=[{"port": 80}] * 2),
    node("at 192.0.2.1", "address_not_local", publish=[{"port": 80, "address": "192.0.2.1"}]),
    node("begins with '-'", security_opts=["--privileged"]),
    node("begins with '-'", runtime="-x"),
    node("quote it", env={"ON": True}),
    node("has more than one line", env={"LINES": "a\nb"}),
    node("quote it", labels={"on": True}),
    node("would be hidden by what is mounted at /run", files=[{"path": "/run/x", "content": ""}]),
    node("is not a mode", files=[{"path": "/etc/x", "content": "", "mode": "rw"}]),
    node("wait_timeout: is not a time", wait_timeout=0),
    node(f"the node {PREFIX}-node does not exist", "node_missing", image=None),
    node("this is not what oci_engine_info returned", engine_facts={"name": "podman"}),
    Row("kic_kubeadm", {"node": f"{PREFIX}-none", "cluster": PREFIX}, "node_missing", "does not exist"),
    Row("kic_kubeadm", {"node": f"{PREFIX}-none", "cluster": PREFIX, "pod_subnet": "x"}, "invalid_option", "is not a CIDR"),
    Row("kic_kubeadm", {"node": f"{PREFIX}-none", "cluster": "a/b"}, "invalid_option", "is not a"),
    Row("kic_kubeconfig", {"cluster": "-rf", "path": "/nowhere/config"}, "invalid_option", "is not a name"),
]  # fmt: skip


@pytest.fixture(scope="module")
def world(
    podman: Client,
    node_image: str,
    run_module: Module,
    module_unique: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """What the rows name."""
    name = module_unique("bad")
    made = run_module("oci_network", name=name, subnet6="none")["network"]
    subnet = ipaddress.ip_network(made["subnet"])
    file = tmp_path_factory.mktemp("bad") / "file"
    file.write_text("no archive")
    routes = [line.split() for line in Path("/proc/net/route").read_text().splitlines()[1:]]
    # Not a bridge of docker's, whose route may go at any time.
    lasting = (fields for fields in routes if fields[1] != "00000000" and not fields[0].startswith("br-"))
    destination, mask = next((fields[1], fields[7]) for fields in lasting)
    route = ipaddress.ip_network(tuple(_little_endian(text) for text in (destination, mask)))  # type: ignore[arg-type]
    cpus = os.sysconf("SC_NPROCESSORS_ONLN")
    del podman
    return {
        "image": node_image,
        "network": name,
        "subnet": made["subnet"],
        "gateway": made["gateway"],
        "broadcast": str(subnet.broadcast_address),
        "outside": str(subnet.broadcast_address + 1),
        "file": str(file),
        "route": str(route),
        "cpus": cpus,
        "too_many_cpus": cpus + 0.5,
    }


def _little_endian(text: str) -> str:
    return str(ipaddress.IPv4Address(int.from_bytes(bytes.fromhex(text), sys.byteorder)))


@pytest.fixture(scope="module")
def held(podman: Client, world: dict[str, Any]) -> Iterator[None]:
    """What is there before the first bad input is there after the last, and no more; asked once, as it takes time."""
    del world
    before = ours(podman)
    yield
    assert ours(podman) == before


def ours(podman: Client) -> dict[str, set[str]]:
    """What is there under the names of the rows; other tests may make and remove their own meanwhile."""
    asked = {str(row.params.get("name")) for row in ROWS}
    return {
        kind: {name for name in names if name.startswith(PREFIX) or name in asked}
        for kind, names in podman.holdings().items()
        if kind != "images"
    }


def filled(value: Any, world: Mapping[str, Any]) -> Any:
    """A row's value with what the world has in place of ``{…}``."""
    if isinstance(value, str):
        return value.format(**world)
    if isinstance(value, list):
        return [filled(item, world) for item in value]
    if isinstance(value, dict):
        return {key: filled(item, world) for key, item in value.items()}
    return value


def cases() -> Iterator[Any]:
    """All rows; of each module and id one is quick."""
    seen = set()
    for row in ROWS:
        again = (row.module, row.id) in seen
        seen.add((row.module, row.id))
        yield pytest.param(row, marks=[pytest.mark.full("one of its id is quick")] if again else [])


@pytest.mark.parametrize("row", list(cases()), ids=str)
def test_bad_input(run_module: Module, world: dict[str, Any], held: None, row: Row) -> None:
    """The error has the stable name of its cause and says which option is wrong and how; nothing was changed."""
    del held
    result = run_module(row.module, **filled(dict(row.params), world))
    assert result.get("failed"), result
    assert result["diagnosis"]["id"] == row.id, result["msg"]
    assert filled(row.words, world) in result["msg"]
    assert result["diagnosis"]["fix"]
    assert result["actions"] == [] and not result.get("changed")


ENGINE_TASKS: list[tuple[str, dict[str, Any]]] = [
    ("oci_network", {"name": f"{PREFIX}-engine"}),
    ("oci_volume", {"name": f"{PREFIX}-engine"}),
    ("oci_image", {"name": f"localhost/{PREFIX}-engine:1", "source": "local"}),
    ("kic_node", {"name": f"{PREFIX}-engine", "image": f"localhost/{PREFIX}:1", "volume": "none"}),
    ("kic_node_info", {}),
    ("oci_engine_info", {}),
]


@pytest.fixture
def without_podman(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A PATH on which there is everything but an engine."""
    for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        for program in Path(folder).iterdir():
            if program.name not in ("podman", "docker") and not (tmp_path / program.name).exists():
                (tmp_path / program.name).symlink_to(program)
    yield {"PATH": str(tmp_path)}
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize(("module", "params"), ENGINE_TASKS)
def test_podman_is_not_installed(
    run_module: Module, without_podman: dict[str, str], module: str, params: dict[str, Any]
) -> None:
    """Without podman a run says how to install it; check mode plans against an empty engine and warns."""
    # AnsibleModule.get_bin_path looks into /sbin, /usr/sbin and /usr/local/sbin by itself; podman is in none of them.
    result = run_module(module, process_env=without_podman, **params)
    assert result["diagnosis"]["id"] == "engine_not_installed"
    assert "apt-get install podman" in result["diagnosis"]["fix"]
    checked = run_module(module, check=True, process_env=without_podman, **params)
    if module in ("oci_network", "oci_volume", "kic_node"):
        assert checked["actions"][0].startswith("create "), checked
        assert "The plan is made against an empty engine." in str(checked["warnings"])


@pytest.mark.parametrize(("module", "params"), ENGINE_TASKS)
def test_podman_refuses_us(run_module: Module, tmp_path: Path, module: str, params: dict[str, Any]) -> None:
    """A podman that does not answer this user is named with its own words, also in check mode."""
    words = "Error: stat /var/lib/containers: permission denied"
    script = tmp_path / "podman"
    script.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 125\n")
    script.chmod(0o755)
    refusing = {"PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"}
    for check in (True, False):
        result = run_module(module, check=check, process_env=refusing, engine="podman", **params)
        assert result.get("failed"), result
        assert result["diagnosis"]["id"] in ("engine_failed", "engine_refused")
        assert words in result["diagnosis"]["output"]
        assert words in result["msg"]


@pytest.mark.parametrize(("module", "params"), ENGINE_TASKS)
def test_docker_does_not_answer(run_module: Module, tmp_path: Path, module: str, params: dict[str, Any]) -> None:
    """A docker that is requested by name and does not run is told with its cause, and not replaced by podman."""
    if shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
        pytest.skip("no dockerd here; on Debian: apt-get install docker.io")
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/socket"}
    for check in (True, False):
        result = run_module(module, check=check, process_env=nowhere, engine="docker", **params)
        assert result["diagnosis"]["id"] == "engine_not_running", result
        assert f"nothing answers at unix://{tmp_path}/socket" in result["msg"]
        assert "service docker start" in result["diagnosis"]["fix"]
        assert result["actions"] == []
