# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a process of a container has, from recorded files of the kernel and from this process."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._host import files, process
from ansible_collections.nodeforge.kic.plugins.module_utils._host.process import (
    Mounted,
    parse_if_inet6,
    parse_local_addresses,
    parse_mounts,
)
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import NO_PROCESS, proc


def test_mounts_of_node() -> None:
    """The mounts of a container with a volume at /var."""
    found = parse_mounts(proc("mountinfo-node"))
    assert found["/var"] == Mounted("/var", "ext4", False, "/dev/vda")
    assert found["/"].kind == "overlay"
    assert found["/sys"] == Mounted("/sys", "sysfs", True, "sysfs")
    assert found["/proc/acpi"].read_only
    assert "/lib/modules" not in found


@pytest.mark.parametrize(
    ("text", "target", "read_only"),
    [
        ("1 0 8:1 / /srv/a\\040b ro,nosuid - ext4 /dev/sda rw", "/srv/a b", True),
        ("1 0 8:1 / /srv rw - ext4 /dev/sda ro", "/srv", False),
        ("1 0 8:1 / /srv rw - tmpfs none rw\n2 1 8:1 / /srv ro - ext4 /dev/sda rw", "/srv", True),
        ("1 0 8:1 / /srv rw,relatime shared:1 master:2 - ext4 /dev/sda rw", "/srv", False),
    ],
    ids=["white space", "of the mount, not the file system", "the last hides others", "optional fields"],
)
def test_mount_lines(text: str, target: str, read_only: bool) -> None:
    """A mount point is read as the process sees it."""
    assert parse_mounts(text)[target].read_only is read_only


def test_addresses_of_node() -> None:
    """The own addresses of a container's network namespace, no broadcast or network addresses among them."""
    assert {str(item) for item in parse_local_addresses(proc("fib_trie-node"))} == {"127.0.0.1", "192.168.231.10"}
    assert parse_if_inet6(proc("if_inet6-node")) == {
        ipaddress.ip_address("::1"),
        ipaddress.ip_address("fd12:3456:789a::10"),
        ipaddress.ip_address("fe80::4c7b:e9ff:fe44:a6aa"),
    }


def test_no_addresses() -> None:
    """A kernel without IPv6, or a process that has ended, has none."""
    assert parse_local_addresses("") == parse_if_inet6("") == parse_if_inet6("\n") == set()


def test_this_process() -> None:
    """The kernel's files of a process that runs are found by its id."""
    assert process.mounts(os.getpid())["/proc"].kind == "proc"
    assert ipaddress.ip_address("127.0.0.1") in process.addresses(os.getpid())


def test_ended_process() -> None:
    """A process that has ended has neither mounts nor addresses."""
    assert process.mounts(NO_PROCESS) == {}
    assert process.addresses(NO_PROCESS) == set()


@pytest.mark.parametrize("path", ["/proc/self/no-such-file", "/proc/version/below", f"/proc/{NO_PROCESS}/cgroup"])
def test_file_that_is_not_there(path: str) -> None:
    """A file that is not there is None, which is not the same as an empty one."""
    assert files.read(path) is None
    assert files.read("/dev/null") == ""


def test_file_that_is_no_text(tmp_path: Path) -> None:
    """Bytes that are no text stay visible."""
    (tmp_path / "x").write_bytes(b"a\xffb")
    assert files.read(str(tmp_path / "x")) == "a\\xffb"


LINKS = {
    "/lib": "usr/lib",
    "/usr/lib/there": "/srv/./data/",
    "/var/run": "../run",
    "/etc/a": "b",
    "/etc/b": "a",
}


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/srv/data", "/srv/data"),
        ("/lib/modules", "/usr/lib/modules"),
        ("/lib/there/x", "/srv/data/x"),
        ("/var/run/x", "/run/x"),
        ("/", "/"),
        ("/etc/a", "/etc/a"),
    ],
    ids=["no link", "relative", "absolute", "upwards", "root", "circle ends"],
)
def test_links_are_followed(path: str, place: str) -> None:
    """A mount is where the links of its target lead: /lib is one in most images, so /lib/modules lies elsewhere."""
    assert process.followed(path, LINKS.get) == place


def test_place_for_a_process(tmp_path: Path) -> None:
    """Links are those that the process sees, and what is no link stays as it is."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert process.place(os.getpid(), f"{tmp_path}/link/x") == f"{tmp_path}/real/x"
    assert process.place(NO_PROCESS, "/lib/modules") == "/lib/modules"
