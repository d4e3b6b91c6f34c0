# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of a node as they are checked, and the labels that keep them."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Limits, Mount, Publication
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_spec import (
    NodeSpec,
    decode_asked,
    decode_published,
    encode_asked,
    encode_published,
)
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import (
    fails,
    mount_params,
    node_params,
    publish_params,
)


def spec(**given: Any) -> NodeSpec:
    """A node as a user asks for it."""
    return NodeSpec.from_params(node_params(**given))


def files(path: str, mode: str) -> list[dict[str, str]]:
    """One file."""
    return [{"path": path, "content": "x", "mode": mode}]


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"name": ""}, "name: is empty", "give name a name"),
    ({"name": "-node"}, "name: '-node' is not a name", "set name to node, or"),
    ({"name": "n" * 129}, "name: has 129 characters, at most 128 are possible", "choose a shorter name"),
    ({"name": "a/b"}, "name: 'a/b' is not a name", "set name to a-b, or"),
    ({"wait_timeout": 0}, "wait_timeout: is not a time", "give it in seconds, like 120"),
    ({"cluster": "a b"}, "cluster: 'a b' is not a name", "set cluster"),
    ({"role": ""}, "role: is empty", "give role a name"),
    ({"image": "UPPER/x"}, "image: 'UPPER/x' is not an image name", "write it as upper/x"),
    ({"image": "x@sha256:00"}, "image: 'x@sha256:00' does not end in a valid digest", "64 hexadecimal"),
    ({"network": "a/b"}, "network: 'a/b' is not a name", "set network"),
    ({"ip": "10.0.0"}, "ip: '10.0.0' is not an IP address", "like 192.168.200.2"),
    ({"ip": "fd00::1"}, "ip: fd00::1 is not IPv4", "give an IPv4 address, or leave it out"),
    ({"ip6": "10.0.0.1"}, "ip6: 10.0.0.1 is not IPv6", "give an IPv6 address"),
    ({"hostname": "a_b"}, "hostname: 'a_b' is not a host name", "set hostname"),
    ({"volume": "../x"}, "volume: '../x' is not a name", "set volume"),
    ({"mounts": [mount_params("srv", "/srv")]}, "mounts.source: 'srv' is not an absolute path", "like /srv/data"),
    ({"mounts": [mount_params("/a:b", "/srv")]}, "mounts.source: '/a:b' is not an absolute path", "without"),
    ({"mounts": [mount_params("/a\n", "/srv")]}, "is empty or has control", "one line"),
    ({"mounts": [mount_params("/a", "srv")]}, "mounts.target: 'srv' is not an absolute path below /", "like /srv/data"),
    ({"mounts": [mount_params("/a", "/b/..")]}, "mounts.target: '/b/..' is not an absolute path below /", "/srv/data"),
    ({"mounts": [mount_params("/a", "/b:ro")]}, "mounts.target: '/b:ro' is not an absolute path", "/srv/data"),
    ({"tmpfs": {"x": ""}}, "tmpfs: 'x' is not an absolute path", "/srv/data"),
    (
        {"mounts": [mount_params("/a", "/b"), mount_params("/c", "/b/")]},
        "mounts: /b would be mounted twice",
        "keep one of them",
    ),
    ({"mounts": [mount_params("/a", "/b")], "tmpfs": {"/b": ""}}, "mounts: /b would be mounted twice", "tmpfs"),
    ({"volume": "v", "tmpfs": {"/var": ""}}, "mounts: /var would be mounted twice", "volume"),
    ({"publish": [publish_params(0)]}, "publish.port: 0 is not a port", "choose one from 1 to 65535"),
    ({"publish": [publish_params(80, 65536)]}, "publish.host_port: 65536 is not a port", "1 to 65535"),
    ({"publish": [publish_params(80, address="here")]}, "publish.address: 'here' is not an IP address", "192.168"),
    (
        {"publish": [publish_params(80, 8080), publish_params(81, 8080)]},
        "publish.host_port: port 8080 of 127.0.0.1 is given twice",
        "leave one of them out",
    ),
    (
        {"publish": [publish_params(80), publish_params(80)]},
        "publish.port: 80/tcp is published twice on 127.0.0.1",
        "keep one of them",
    ),
    ({"devices": ["fuse"]}, "devices: 'fuse' is not a device", "like /dev/fuse"),
    ({"devices": ["/dev/fuse:rwx"]}, "devices: '/dev/fuse:rwx' is not a device", "like /dev/fuse"),
    ({"memory": "many"}, "memory: 'many' is not a size", "like 2g or 2048MiB"),
    ({"memory": "1m"}, "memory: 1m is too little for any systemd", "set it to 64m or more"),
    ({"cpus": 0.001}, "cpus: 0.001 is not a number of processors", "0.01 or more"),
    ({"cpus": float("inf")}, "cpus: inf is not a number of processors", "0.01 or more"),
    ({"cpus": float("nan")}, "cpus: nan is not a number of processors", "0.01 or more"),
    ({"pids_limit": 0}, "pids_limit: 0 is not a number of processes", "leave it out"),
    ({"ulimits": {"NOFILE": 1}}, "ulimits: 'NOFILE' is not a name of a limit", "like nofile or nproc"),
    ({"ulimits": {"nofile": "2:1"}}, "ulimits: '2:1' is not a limit for nofile", "like 65536 or 1024:65536"),
    ({"ulimits": {"nofile": -1}}, "ulimits: -1 is not a limit for nofile", "like 65536"),
    ({"ulimits": {"nproc": "5:unlimited"}}, "ulimits: '5:unlimited' is not a limit for nproc", "leave it out"),
    ({"ulimits": {"memlock": "-1:5"}}, "ulimits: '-1:5' is not a limit for memlock", "like 65536"),
    ({"ulimits": {"memlock": "x"}}, "ulimits: 'x' is not a limit for memlock", "like 65536"),
    ({"sysctls": {"a b": 1}}, "sysctls: 'a b' is not a name", "use letters, digits"),
    ({"sysctls": {"a": True}}, "sysctls: the value of a is not a string", "quote it: a: '...'"),
    (
        {"sysctls": {"net.core.somaxconn": 4096, "vm.max_map_count": 262144}},
        "sysctls: vm.max_map_count is the same for the whole machine",
        "sysctl -w vm.max_map_count=262144",
    ),
    ({"sysctls": {"kernel/hostname": "a"}}, "sysctls: kernel/hostname is the same for", "sysctl -w kernel/hostname=a"),
    ({"security_opts": ["--privileged"]}, "security_opts: '--privileged' begins with '-'", "write the value alone"),
    ({"security_opts": [""]}, "security_opts: '' is empty or has control characters", "one line of text"),
    ({"env": {"-e": "x"}}, "env: '-e' is not a name", "use letters"),
    ({"env": {"A=B": "x"}}, "env: 'A=B' is not a name", "use letters"),
    ({"env": {"A": None}}, "env: the value of A is not a string", "quote it"),
    ({"env": {"A": "1\n2"}}, "env: the value of A has more than one line", "give it one line"),
    ({"labels": {"a": "x\0"}}, "labels: 'a' or its value has a NUL", "leave it out"),
    ({"command": ["/sbin/init", "a\0"]}, "has a NUL, which no program takes", "leave it out"),
    ({"labels": {"nodeforge.kic.role": "x"}}, "has the prefix of the collection's own labels", "another key"),
    ({"runtime": "-x"}, "runtime: '-x' begins with '-'", "write the value alone"),
    ({"files": files("etc/x", "0644")}, "files.path: 'etc/x' is not an absolute path", "/srv/data"),
    ({"files": files("/etc/x", "u+x")}, "files.mode: 'u+x' is not a mode", "quote four octal digits"),
    ({"files": files("/run/x", "0644")}, "files.path: /run/x would be hidden by what is mounted at /run", "another"),
    ({"files": files("/var/x", "0644"), "volume": "v"}, "files.path: /var/x would be hidden by what is", "another"),
    (
        {"files": files("/srv/x", "0644"), "mounts": [mount_params("/a", "/srv")]},
        "files.path: /srv/x would be hidden by what is mounted at /srv",
        "choose another",
    ),
    ({"files": files("/etc/x", "0999")}, "files.mode: '0999' is not a mode", "like '0644'"),
]


@pytest.mark.parametrize(
    ("given", "hostname"),
    [
        ({"name": "ubuntu-22.04"}, "ubuntu-22-04"),
        ({"name": "Debian_11"}, "debian-11"),
        ({"name": "web.example.com"}, "web.example.com"),
        ({"name": "a", "hostname": "ipaserver.test.local"}, "ipaserver.test.local"),
        ({"name": "a", "hostname": "h" * 60 + ".lan"}, "h" * 60 + ".lan"),
    ],
)
def test_host_name(given: dict[str, Any], hostname: str) -> None:
    """A name that engines take is one for a node too; its host name is made of it, or is a full one that is given."""
    assert spec(**given).hostname == hostname


def test_image_with_a_digest() -> None:
    """The engine is asked by the digest, which both engines find; the tag next to it says nothing more."""
    digest = f"sha256:{'0a' * 32}"
    assert spec(image=f"docker.io/kindest/node:v1.34.0@{digest}").image == f"docker.io/kindest/node@{digest}"


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("env", {"a b": "1", "C": None, "GOOD": "1"}, ["'a b' is not a name", "the value of C is not a string"]),
        ("sysctls", {"vm.swappiness": 1, "fs.file-max": 2}, ["vm.swappiness is the same", "fs.file-max is the same"]),
        ("labels", {"a=b": "1", "c": True}, ["'a=b' is not a label key", "the value of 'c' is a boolean"]),
        ("dns", ["one", "192.0.2.1", "two"], ["'one' is not an IP address", "'two' is not an IP address"]),
        ("dns_search", ["a b", "lab.example", "c d"], ["'a b' is not a domain", "'c d' is not a domain"]),
        ("extra_hosts", {"a b": "192.0.2.1", "c": "x"}, ["'a b' is not a host name", "'x' is not an IP address"]),
        ("publish", [publish_params(0), publish_params(70000)], ["0 is not a port", "70000 is not a port"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_all_entries_of_an_option_at_once(option: str, value: Any, said: list[str]) -> None:
    """Of a list or mapping each wrong entry is told, not the first one."""
    with fails("invalid_option", "2 problems: ", *said):
        spec(**{option: value})


def test_all_problems_at_once() -> None:
    """One message names each option that cannot be used, with its fix."""
    given: dict[str, Any] = {
        "name": "a b",
        "image": "NO",
        "memory": "lots",
        "ip": "x",
        "env": {"A": True},
        "devices": ["x", "y"],
        "mounts": [mount_params("srv", "/srv"), mount_params("/a", "/b")],
        "files": files("/etc/x", "9"),
    }
    with fails("invalid_option", "9 problems: ", "(1) name: 'a b' is", "(9) ", "(9) quote it", "'y' is not a device"):
        spec(**given)


@pytest.mark.parametrize(("given", "problem", "fix"), BAD, ids=[f"{next(iter(item[0]))}-{item[1]}" for item in BAD])
def test_bad_option(given: dict[str, Any], problem: str, fix: str) -> None:
    """A value that cannot be used is refused; the message names option, problem and what to write."""
    with fails("invalid_option", problem, fix):
        spec(**given)


def test_value_of_environment_is_not_told() -> None:
    """The message on a bad value of the environment does not hold the value, which may be a secret."""
    with pytest.raises(KicError) as caught:
        spec(env={"A": "secret\nsecret"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"image": "docker.io/kindest/node"}, "image", "docker.io/kindest/node:latest"),
        ({"image": None}, "image", None),
        ({"ip": "10.0.0.2"}, "ip", ipaddress.ip_address("10.0.0.2")),
        ({}, "hostname", "node-1"),
        ({"hostname": "other"}, "hostname", "other"),
        ({"volume": None}, "volume", "node-1"),
        ({"volume": "none"}, "volume", None),
        ({"volume": "data"}, "volume", "data"),
        ({"tmpfs": {"/x/": None}}, "tmpfs", {"/x": "rw"}),
        ({"mounts": [mount_params("/a/../b", "/c//d")]}, "mounts", (Mount("/b", "/c/d"),)),
        (
            {"publish": [publish_params(53, 53, protocol="udp", address="0:0::1")]},
            "publish",
            (Publication(53, "udp", "::1", 53),),
        ),
        (
            {"publish": [publish_params(53, 53), publish_params(53, 53, protocol="udp")]},
            "publish",
            (Publication(53, "tcp", "127.0.0.1", 53), Publication(53, "udp", "127.0.0.1", 53)),
        ),
        ({"devices": ["/dev/sdb:/dev/xvdb:rw"]}, "devices", ("/dev/sdb:/dev/xvdb:rw",)),
        ({"memory": "100000000", "cpus": 0.5, "pids_limit": 9}, "limits", Limits(99999744, 0.5, 9)),
        ({"ulimits": {"nofile": 5, "nproc": "1:2"}}, "ulimits", {"nofile": "5:5", "nproc": "1:2"}),
        (
            {"ulimits": {"memlock": -1, "core": "unlimited", "stack": "0:-1", "rtprio": "5:unlimited"}},
            "ulimits",
            {"memlock": "-1:-1", "core": "-1:-1", "stack": "0:-1", "rtprio": "5:-1"},
        ),
        ({"sysctls": {"net.ipv4.ip_forward": 1}}, "sysctls", {"net.ipv4.ip_forward": "1"}),
        ({"env": {"A": "x=y z"}}, "env", {"A": "x=y z"}),
        ({"wait_timeout": 1}, "wait_timeout", 1.0),
        ({"recreate": "on_drift"}, "replace", True),
        ({"recreate": "never"}, "replace", False),
    ],
)
def test_good_option(given: dict[str, Any], field: str, value: Any) -> None:
    """Values are kept in one way of writing, and what is left out has its default."""
    assert getattr(spec(**given), field) == value


def test_file_modes() -> None:
    """Modes are octal with three or four digits, content is kept as UTF-8."""
    asked = spec(files=[*files("/a", "644"), {"path": "/b", "content": "é", "mode": "01777"}])
    assert [(item.path, item.mode, item.content) for item in asked.files] == [
        ("/a", 0o644, b"x"),
        ("/b", 0o1777, "é".encode()),
    ]


def test_label_of_plain_node_is_short() -> None:
    """Only what differs from the defaults is kept."""
    text = encode_asked(spec(image="x:1").asked)
    assert json.loads(text) == {"version": 1, "image": "x:1"}


def test_label_comes_back() -> None:
    """What was encoded is decoded the same, all fields of it."""
    asked = spec(
        role="worker",
        network="kic",
        hostname="h",
        volume="v",
        mounts=[mount_params("/a", "/b", read_only=True)],
        env={"B": "secret", "A": "secret"},
        privileged="false",
        command=["a"],
    ).asked
    text = encode_asked(asked)
    assert decode_asked(text) == asked
    assert "secret" not in text
    assert asked["env"] == ["A", "B"]


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "[]", "null", '{"image": "x"}', '{"version": 2, "image": "x"}'],
    ids=["missing", "damaged", "list", "null", "no version", "later layout"],
)
def test_label_that_says_nothing(text: str) -> None:
    """A label that cannot be read as ours gives the defaults, every field of them."""
    found = decode_asked(text)
    assert found == decode_asked('{"version": 1}')
    assert (found["image"], found["privileged"], found["env"]) == (None, "auto", [])


def test_label_of_later_release() -> None:
    """Fields that this release does not know are left out."""
    found = decode_asked('{"version": 1, "image": "x", "shiny": true}')
    assert found["image"] == "x"
    assert "shiny" not in found


def test_ports_come_back() -> None:
    """Ports are kept in a label with those of the host that were chosen."""
    ports = (Publication(6443, "tcp", "127.0.0.1", 40000), Publication(53, "udp", "::1", 53))
    assert decode_published(encode_published(ports)) == ports


@pytest.mark.parametrize("text", ["", "no JSON", "7", '[{"port": 1}]', '[{"port": null}]'])
def test_ports_that_can_not_be_read(text: str) -> None:
    """A missing or damaged label holds no ports."""
    assert decode_published(text) == ()
