# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Molecule's platforms: our own words, those of molecule-plugins, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.plugin_utils.platforms import platforms

from .support import fails


def test_own_words() -> None:
    """Options of kic_node go through, Molecule's own do not, and what is not set is not there."""
    given: list[dict[str, Any]] = [
        {"name": "a", "groups": ["x"], "memory": "1g", "env": None},
        {"name": "b", "image": "debian:12"},
    ]
    assert platforms(given, "trixie")[0] == [
        {"name": "a", "memory": "1g", "suite": "trixie"},
        {"name": "b", "image": "debian:12"},
    ]
    assert platforms([{"name": "a", "suite": "bookworm"}], "trixie")[0][0]["suite"] == "bookworm"


@pytest.mark.parametrize(
    ("key", "value", "meaning"),
    [
        ("volumes", ["/a:/b"], {"mounts": [{"source": "/a", "target": "/b"}]}),
        (
            "volumes",
            ["/a:/b:ro,Z,rslave", "/c:/d:rw,z"],
            {
                "mounts": [
                    {"source": "/a", "target": "/b", "read_only": True, "relabel": "private", "propagation": "rslave"},
                    {"source": "/c", "target": "/d", "read_only": False, "relabel": "shared"},
                ]
            },
        ),
        ("published_ports", ["80", 81], {"publish": [{"port": port, "address": "0.0.0.0"} for port in (80, 81)]}),
        (
            "published_ports",
            ["127.0.0.1:8080:80/udp", "[::1]::80"],
            {
                "publish": [
                    {"port": 80, "address": "127.0.0.1", "host_port": 8080, "protocol": "udp"},
                    {"port": 80, "address": "::1"},
                ]
            },
        ),
        ("tmpfs", ["/run", "/x"], {"tmpfs": {"/run": "", "/x": ""}}),
        ("tmpfs", {"/x": "size=1m"}, {"tmpfs": {"/x": "size=1m"}}),
        ("ulimits", ["nofile:1024:2048", "nproc=5"], {"ulimits": {"nofile": "1024:2048", "nproc": "5"}}),
        ("ulimits", [{"name": "nofile", "soft": 1, "hard": 2}], {"ulimits": {"nofile": "1:2"}}),
        ("tmpfs", "/x:size=1m", {"tmpfs": {"/x": "size=1m"}}),
        ("tmpfs", ["/x:rw,size=1m"], {"tmpfs": {"/x": "rw,size=1m"}}),
        (
            "published_ports",
            ["127.0.0.1:8000-8001:80-81/TCP"],
            {
                "publish": [
                    {"port": 80, "address": "127.0.0.1", "host_port": 8000, "protocol": "tcp"},
                    {"port": 81, "address": "127.0.0.1", "host_port": 8001, "protocol": "tcp"},
                ]
            },
        ),
        ("volumes", ["/a:/b:nocopy,cached"], {"mounts": [{"source": "/a", "target": "/b"}]}),
        ("mounts", [{"type": "bind", "source": "/a", "target": "/b"}], {"mounts": [{"source": "/a", "target": "/b"}]}),
        ("env", ["A=b=c", "D="], {"env": {"A": "b=c", "D": ""}}),
        ("sysctls", {"net.core.somaxconn": 1024}, {"sysctls": {"net.core.somaxconn": 1024}}),
        (
            "command",
            '/bin/sh -c "sleep 1; exec /sbin/init"',
            {"command": ["/bin/sh", "-c", "sleep 1; exec /sbin/init"]},
        ),
        ("command", ["/sbin/init", 5], {"command": ["/sbin/init", "5"]}),
        ("command", "", {}),
        ("hostname", "ipaserver.test.local", {"hostname": "ipaserver.test.local"}),
        ("restart_policy", "on-failure", {"restart_policy": "on-failure"}),
        ("capabilities", ["SYS_ADMIN"], {}),
        ("exposed_ports", ["53/udp"], {}),
        ("tty", True, {}),
        ("rootless", True, {}),
        ("cgroupns_mode", "private", {}),
        ("command", "/sbin/init --log-target=console", {"command": ["/sbin/init", "--log-target=console"]}),
        ("pre_build_image", True, {}),
        ("override_command", False, {}),
        ("systemd", "always", {}),
        ("privileged", True, {"privileged": True}),
        ("dns_servers", ["192.0.2.53"], {"dns": ["192.0.2.53"]}),
        ("dns_search_domains", "lab.example", {"dns_search": ["lab.example"]}),
        ("etc_hosts", {"a.example": "192.0.2.1"}, {"extra_hosts": {"a.example": "192.0.2.1"}}),
        ("extra_hosts", ["a.example:2001:db8::1"], {"extra_hosts": {"a.example": "2001:db8::1"}}),
        ("shm_size", "128m", {"shm_size": "128m"}),
        # As the drivers' documentation has it, and as Ansible reads one text where a list is wanted.
        ("etc_hosts", "{'a.example': '192.0.2.1'}", {"extra_hosts": {"a.example": "192.0.2.1"}}),
        ("volumes", "/a:/b", {"mounts": [{"source": "/a", "target": "/b"}]}),
        ("published_ports", 80, {"publish": [{"port": 80, "address": "0.0.0.0"}]}),
        ("volumes", ["~/a:/b"], {"mounts": [{"source": "/home/ada/a", "target": "/b"}]}),
        (
            "security_opts",
            ["seccomp:unconfined", "label:type:x", "apparmor=a:b", "no-new-privileges"],
            {"security_opts": ["seccomp=unconfined", "label=type:x", "apparmor=a:b", "no-new-privileges"]},
        ),
        ("ulimits", ["memlock:-1:-1"], {"ulimits": {"memlock": "-1:-1"}}),
        ("privileged", "yes", {"privileged": True}),
        ("privileged", "auto", {"privileged": "auto"}),
        ("registry", {"url": "https://r.example:5000/"}, {"image": "r.example:5000/x"}),
    ],
)
def test_words_of_the_drivers(key: str, value: Any, meaning: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """What means the same is translated, and what is so in any case may be said."""
    monkeypatch.setenv("HOME", "/home/ada")
    found, warnings = platforms([{"name": "a", "image": "x", key: value}], "trixie")
    assert found == [{"name": "a", "image": "x", **meaning}]
    assert warnings == []


DRIVERS = [
    "buildargs",
    "cacert_path",
    "cache_from",
    "capabilities",
    "cert_path",
    "cgroup_manager",
    "cgroupns_mode",
    "command",
    "command_handling",
    "container_default_behavior",
    "detach",
    "devices",
    "dns_servers",
    "docker_host",
    "docker_networks",
    "dockerfile",
    "env",
    "etc_hosts",
    "exposed_ports",
    "extra_opts",
    "force",
    "force_kill",
    "groups",
    "hostname",
    "image",
    "ip",
    "keep_volumes",
    "key_path",
    "kill_signal",
    "labels",
    "links",
    "memory",
    "memory_swap",
    "mounts",
    "name",
    "network",
    "network_mode",
    "networks",
    "networks_cli_compatible",
    "override_command",
    "pid_mode",
    "platform",
    "pre_build_image",
    "privileged",
    "published_ports",
    "pull",
    "purge_networks",
    "registry",
    "restart_policy",
    "restart_retries",
    "rootless",
    "runtime",
    "security_opts",
    "shm_size",
    "stop_signal",
    "storage_driver",
    "storage_opt",
    "sysctls",
    "systemd",
    "tls_verify",
    "tmpfs",
    "tty",
    "ulimits",
    "user",
    "volumes",
]
"""Each key that the schemas of the drivers docker and podman of molecule-plugins 25 and 26 have."""


@pytest.mark.parametrize("key", DRIVERS)
def test_each_key_of_the_drivers_is_known(key: str) -> None:
    """None of them is taken for a misspelt one, whatever its value."""
    for value in ("x", ["x"], {"x": "x"}, True, False, 5):
        assert "is not an option" not in _problem({"name": "a", "image": "x", key: value})


def _problem(platform: dict[str, Any]) -> str:
    try:
        platforms([platform], "trixie")
    except KicError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("options", "key", "reason"),
    [
        ({"cgroup_parent": "docker.slice"}, "cgroup_parent", "control groups of its own"),
        ({"cgroupns_mode": "host"}, "cgroupns_mode", "control groups of its own"),
        ({"environment": {"container": "docker"}}, "environment", "env is meant"),
        ({"capabilities": ["SYS_ADMIN"], "privileged": False}, "capabilities", "without it, it has all"),
        ({"networks": [{"name": "x", "aliases": ["y"]}]}, "networks", "know each other by name"),
        ({"extra_opts": ["--memory=128m"]}, "extra_opts", "memory"),
        ({"systemd": False}, "systemd", "first process"),
        ({"rootless": False}, "rootless", "the user who runs Molecule"),
        ({"pre_build_image": False}, "pre_build_image", "needs systemd and Python"),
        ({"override_command": True}, "override_command", "no command is named"),
        ({"override_command": False, "command": "sleep 9"}, "command", "override_command is false"),
        ({"pid_mode": "host"}, "pid_mode", "namespaces of its own"),
        (
            {"registry": {"url": "r.example", "credentials": {"password": "S3CRET"}}},
            "registry: credentials",
            "podman login",
        ),
        ({"ulimits": ["host"]}, "ulimits: host", "a machine's systemd"),
        ({"env": {"http_proxy": None}}, "env: http_proxy", "it has no value"),
        ({"labels": {"a": None}}, "labels: a", "it has no value"),
        ({"port_bindings": ["8080/tcp"]}, "port_bindings", "published_ports is meant"),
        ({"image_version": "12"}, "image_version", "the tag of image is meant"),
        ({"volumes": ["/sys/fs/cgroup:/sys/fs/cgroup:rw"]}, "volumes: /sys/fs/cgroup", "control groups of its own"),
        ({"volumes": ["data:/srv/x"]}, "volumes: /srv/x", "name a directory to keep them"),
        ({"volumes": ["/srv/x"]}, "volumes: /srv/x", "name a directory to keep them"),
        ({"mounts": [{"type": "volume", "source": "x", "target": "/y"}]}, "mounts", "type volume"),
    ],
)
def test_ignored_with_a_warning(options: dict[str, Any], key: str, reason: str) -> None:
    """What a platform cannot have is no error, as the file is meant for the drivers; each is said with its reason."""
    found, (warning,) = platforms([{"name": "a", "image": "x", **options}], "trixie")
    assert found[0]["name"] == "a"
    assert warning.startswith(f"Platform a: {key} is ignored: ") and reason in warning and warning.endswith(".")
    assert "S3CRET" not in warning


@pytest.mark.parametrize(
    ("image", "more", "name"),
    [
        ("ubi9/ubi-init:1", {}, "r.example/ubi9/ubi-init:1"),
        # What has its registry already, and what is not built, keep their names.
        ("quay.io/x/y:1", {}, "quay.io/x/y:1"),
        ("localhost/x:1", {}, "localhost/x:1"),
        ("x:1", {"pre_build_image": True}, "x:1"),
        ("docker://quay.io/x/y:1", {}, "quay.io/x/y:1"),
    ],
)
def test_image_of_a_registry(image: str, more: dict[str, Any], name: str) -> None:
    """The drivers build from the image of the registry that is named next to it: another one would be another image."""
    found, _warnings = platforms([{"name": "a", "image": image, "registry": {"url": "r.example"}, **more}], "trixie")
    assert found[0]["image"] == name


def test_a_reason_is_said_once() -> None:
    """Ten platforms of one kind give one warning with their names."""
    given = [{"name": name, "image": "x", "cgroup_parent": "docker.slice"} for name in ("a", "b", "c")]
    assert len(platforms(given, "trixie")[1]) == 1
    assert platforms(given, "trixie")[1][0].startswith("Platforms a, b, c: cgroup_parent is ignored: ")


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("ubuntu-22.04", "ubuntu-22-04"),
        ("Debian_11", "debian-11"),
        ("instance_1.2_x", "instance-1-2-x"),
        ("web.example.com", None),
        ("instance", None),
        ("x" * 80, "x" * 63),
    ],
)
def test_host_name_of_a_name(name: str, host: str | None) -> None:
    """A container's name may be more than a host name; then one is made of it."""
    (found,), warnings = platforms([{"name": name, "image": "x"}], "trixie")
    assert (found["name"], found.get("hostname"), warnings) == (name, host, [])


# As people write them, in files of public repositories: a collection with one scenario for many releases, a hardening
# collection, and a role that is tested on whatever image an environment variable names.
FIELD: list[tuple[str, list[dict[str, Any]], list[dict[str, Any]], list[str]]] = [
    (
        "releases",
        [
            {
                "name": f"ubuntu-{release}",
                "image": f"docker.io/jdoe/ubuntu{release}-systemd:latest",
                "pre_build_image": True,
                "privileged": True,
                "cgroup_parent": "docker.slice",
                "command": "/lib/systemd/systemd",
                "volumes": ["/sys/fs/cgroup:/sys/fs/cgroup:rw"],
            }
            for release in ("22.04", "24.04")
        ],
        [
            {
                "name": f"ubuntu-{release}",
                "image": f"docker.io/jdoe/ubuntu{release}-systemd:latest",
                "privileged": True,
                "command": ["/lib/systemd/systemd"],
                "hostname": f"ubuntu-{short}",
            }
            for release, short in (("22.04", "22-04"), ("24.04", "24-04"))
        ],
        ["cgroup_parent", "volumes: /sys/fs/cgroup"],
    ),
    (
        "hardening",
        [
            {
                "name": "instance",
                "image": "example.org/rocky9:1",
                "groups": ["all"],
                "pre_build_image": True,
                "tmpfs": ["/tmp", "/run"],
                "privileged": True,
                "capabilities": ["SYS_ADMIN"],
                "tty": True,
                "environment": {"container": "docker"},
                "volumes": ["/sys/fs/cgroup:/sys/fs/cgroup:ro"],
            }
        ],
        [{"name": "instance", "image": "example.org/rocky9:1", "tmpfs": {"/tmp": "", "/run": ""}, "privileged": True}],
        ["environment", "volumes: /sys/fs/cgroup"],
    ),
    (
        "role",
        [
            {
                "name": "instance",
                "image": "jdoe/debian12-ansible:latest",
                "command": "",
                "cgroupns_mode": "host",
                "volumes": ["/sys/fs/cgroup:/sys/fs/cgroup:rw", "/var/lib/containerd"],
                "privileged": True,
                "pre_build_image": True,
            }
        ],
        [{"name": "instance", "image": "jdoe/debian12-ansible:latest", "privileged": True}],
        ["cgroupns_mode", "volumes: /sys/fs/cgroup", "volumes: /var/lib/containerd"],
    ),
]


@pytest.mark.parametrize(("given", "found", "ignored"), [row[1:] for row in FIELD], ids=[row[0] for row in FIELD])
def test_files_of_the_field(given: list[dict[str, Any]], found: list[dict[str, Any]], ignored: list[str]) -> None:
    """A file that the drivers run is run, and what is ignored is said."""
    made, warnings = platforms(given, "trixie")
    assert made == found
    assert [text.partition(": ")[2].partition(" is ignored")[0] for text in warnings] == ignored


def test_all_problems_at_once() -> None:
    """Each problem of each platform is in one message, with its fix under the same number."""
    given: list[dict[str, Any]] = [
        {
            "name": "a",
            "memroy": "1g",
            "volumes": ["./x:/y", "/a:/b:shiny"],
            "command": "sh -c 'x",
            "hostname": "no_host",
        },
        {"name": "a", "image": "NO image"},
        {"name": "b c", "published_ports": [133342]},
    ]
    with pytest.raises(KicError) as caught:
        platforms(given, "trixie")
    found = caught.value.diagnosis
    assert found.id == "invalid_option" and found.cause.startswith("9 problems: (1) platform a: memroy: ")
    for words in ("'./x:/y'", "'shiny'", "quotation mark", "'no_host'", "two of them", "'NO image'", "'b c'", "133342"):
        assert words in found.cause
    assert "(1) write memory, or leave it out." in found.fix and "(9) quote it" in found.fix
    assert "set platforms: name to b-c" in found.fix


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ("web", "platforms: is not a list. Fix: write each on a line of its own that begins with '- name:'"),
        (None, "platforms: is not a list"),
        (["web"], "platforms: 'web' is not a platform. Fix: write it as a mapping, like - name: web"),
        ([{"name": "a/b"}, None], "2 problems: (1) platforms: name: 'a/b' is not a name"),
        ([{"image": "x"}], "platforms: name: is empty"),
        ([{"name": "a/b"}], "platforms: name: 'a/b' is not a name"),
        ([{"name": "a"}, {"name": "a"}], "platforms: two of them have the name a"),
        ([{"name": "a.1"}, {"name": "a-1"}], "a.1 and a-1 would have the host name a-1"),
        ([{"name": "a", "memroy": "1g"}], "platform a: memroy: is not an option of a platform"),
        ([{"name": "a", "box": "x"}], "Fix: leave it out, or write one of command"),
        ([{"name": "a", "image": "x", "suite": "trixie"}], "platform a: suite: names a release"),
        ([{"name": "a", "image": "x@sha256:1"}], "platform a: image: 'x@sha256:1' does not end in a valid digest"),
        ([{"name": "a", "volumes": {"/a": "/b"}}], "platform a: volumes: is not a list"),
        ([{"name": "a", "volumes": ["~other/a:/b"]}], "platform a: volumes: '~other/a:/b' is not a mount"),
        ([{"name": "a", "etc_hosts": "{'a': "}], "platform a: etc_hosts: is not a mapping"),
        ([{"name": "a", "volumes": ["/a:/b:O"]}], "platform a: volumes: '/a:/b:O' has an unknown option"),
        ([{"name": "a", "published_ports": ["8000-8010:80"]}], "has 11 ports of the machine for 1 of the platform"),
        ([{"name": "a", "published_ports": ["80:x"]}], "'80:x' is not a published port"),
        ([{"name": "a", "ulimits": ["nofile"]}], "'nofile' is not a limit"),
        ([{"name": "a", "command": "sh -c 'x"}], "platform a: command: has a quotation mark without its pair"),
        ([{"name": "a", "env": {"DEBUG": True}}], "platform a: env: the value of DEBUG is not a string"),
        ([{"name": "a", "env": "A"}], "platform a: env: is not a mapping"),
        ([{"name": "a", "hostname": "x" * 65}], "platform a: hostname: has 65 characters, at most 64"),
    ],
)
def test_refused(given: Any, cause: str) -> None:
    """The platform and the key are named, with what to do."""
    with fails("invalid_option", cause):
        platforms(given, "trixie")
