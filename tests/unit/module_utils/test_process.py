# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a process of a container has, from recorded files of the kernel and from this process."""

from __future__ import annotations

import errno
import ipaddress
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
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


@pytest.mark.parametrize(
    "name", ["a\u2028b", "a\u0085b", "a\x0cb", "a\x1cb", "a\u00a0b", "\u3000", "a\\040-\\040b"], ids=ascii
)
def test_any_name_of_a_mount(name: str) -> None:
    """The kernel escapes blanks, tabs and line ends alone: what else divides words or lines somewhere is part of a name."""
    text = f"36 35 98:0 / /media/{name} ro,noatime shared:1 - fuse {name} rw\n37 35 0:4 / /x rw - tmpfs  rw,size=1k\n"
    found = parse_mounts(text)
    plain = name.replace("\\040", " ")
    assert found == {
        f"/media/{plain}": Mounted(f"/media/{plain}", "fuse", True, name),
        "/x": Mounted("/x", "tmpfs", False, ""),
    }
    assert found["/x"].options == ("rw", "size=1k")


def test_no_addresses() -> None:
    """A kernel without IPv6, or a process that has ended, has none."""
    assert parse_local_addresses("") == parse_if_inet6("") == parse_if_inet6("\n") == set()


def test_this_process() -> None:
    """The kernel's files of a process that runs are found by its id."""
    assert process.mounts(os.getpid())["/proc"].kind == "proc"
    assert ipaddress.ip_address("127.0.0.1") in process.addresses(os.getpid())


def test_a_process_that_is_ending() -> None:
    """Of one whose end nobody has waited for yet the kernel refuses some files as invalid: it sees nothing any more."""
    with subprocess.Popen(["true"]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(OSError, match="Invalid argument"):
            Path(f"/proc/{ended.pid}/mountinfo").read_text()
        assert process.mounts(ended.pid) == {}
        assert process.addresses(ended.pid) == set()


def test_ended_process() -> None:
    """A process that has ended has neither mounts nor addresses."""
    assert process.mounts(NO_PROCESS) == {}
    assert process.addresses(NO_PROCESS) == set()


@pytest.mark.parametrize("path", ["/proc/self/no-such-file", "/proc/version/below", f"/proc/{NO_PROCESS}/cgroup"])
def test_file_that_is_not_there(path: str) -> None:
    """A file that is not there is None, which is not the same as an empty one."""
    assert files.read(path) is None
    assert files.read("/dev/null") == ""


def circle(path: Path) -> None:
    """A link to itself."""
    path.symlink_to(path)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, circle], ids=["directory", "fifo", "circle"])
def test_what_is_no_file_says_nothing(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Whatever has the name of a file: nobody waits for a FIFO, and nothing fails."""
    path = str(tmp_path / "x.conf")
    make(tmp_path / "x.conf")
    # In a process that can be ended: it would wait for ever.
    program = f"import os, sys; from {files.__name__} import read; sys.exit(read({path!r}) is not None)"
    environment = {**os.environ, "PYTHONPATH": os.environ["ANSIBLE_COLLECTIONS_PATH"]}
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=20, env=environment).returncode == 0


def test_a_group_that_goes_while_it_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The kernel says that there is no such device; an error of the disk is a failure."""
    for number in (errno.ENODEV, errno.EIO):
        error = OSError(number, os.strerror(number))
        monkeypatch.setattr(files, "_not_waiting", lambda _path, _flags, error=error: _raise(error))
        path = tmp_path / "memory.max"
        path.write_text("max")
        with pytest.raises(OSError, match="error") if number == errno.EIO else nullcontext():
            assert files.read(str(path)) is None


def _raise(error: OSError) -> int:
    raise error


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
