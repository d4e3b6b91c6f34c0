# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this machine is."""

from __future__ import annotations

import glob
import os
import platform
import resource
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._host import machine
from ansible_collections.nodeforge.kic.plugins.module_utils._host.preflight import ENGINE, Facts, refuse
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import engine_info


@pytest.mark.parametrize(
    ("name", "found"),
    [("x86_64", "amd64"), ("aarch64", "arm64"), ("armv7l", "arm"), ("i686", "386"), ("riscv64", "riscv64")],
)
def test_architecture(monkeypatch: pytest.MonkeyPatch, name: str, found: str) -> None:
    """Architectures have the names of image manifests; one that is the same in both stays."""
    monkeypatch.setattr(platform, "machine", lambda: name)
    assert machine.architecture() == found


@pytest.mark.parametrize(("unified", "version"), [(True, 2), (False, 1)])
def test_cgroup_version(monkeypatch: pytest.MonkeyPatch, unified: bool, version: int) -> None:
    """Version 2 is where the root of the tree tells its controllers."""
    monkeypatch.setattr(machine, "read", {"/sys/fs/cgroup/cgroup.controllers": "" if unified else None}.get)
    assert machine.cgroup_version() == version


def test_size_of_machine() -> None:
    """Memory is what the kernel calls MemTotal; processors are counted as the kernel does."""
    total = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    kibibytes = int(total.split()[1])
    assert abs(machine.memory() / 1024 - kibibytes) < kibibytes / 50
    assert 1 <= machine.cpus() <= machine.online_cpus()


MANY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("capabilities", "nofile", "nproc", "expected"),
    [
        ("0000000000000000", 4096, 100, (4096, 100)),
        ("0000000001000000", 4096, 100, (1048576, 4194304)),
        ("000001ffffffffff", 4096, 100, (1048576, 4194304)),
        ("0000000000800000", 4096, 100, (4096, 100)),
        ("0000000000000000", MANY, MANY, (1048576, 4194304)),
        ("0000000000000000", 4096, 9000000, (4096, 4194304)),
    ],
    ids=["ordinary", "may raise", "root", "another capability", "unlimited", "more processes than ids"],
)
def test_host_limits(
    monkeypatch: pytest.MonkeyPatch, capabilities: str, nofile: int, nproc: int, expected: tuple[int, int]
) -> None:
    """Who may raise limits can give what the kernel has; others what they have themselves."""
    files = {
        "/proc/sys/fs/nr_open": "1048576\n",
        "/proc/sys/kernel/pid_max": "4194304\n",
        "/proc/self/status": f"Name:\tx\nCapEff:\t{capabilities}\n",
    }
    limits: dict[int, Any] = {resource.RLIMIT_NOFILE: (1, nofile), resource.RLIMIT_NPROC: (1, nproc)}
    monkeypatch.setattr(machine, "read", files.get)
    monkeypatch.setattr(resource, "getrlimit", limits.__getitem__)
    found = machine.host_limits()
    assert (found.nofile, found.nproc) == expected


@pytest.mark.parametrize(
    ("bounding", "last", "names", "every"),
    [
        ("0000000000000000", "40", (), False),
        ("0000000000000001", "40", ("CHOWN",), False),
        ("0000000000200000", "40", ("SYS_ADMIN",), False),
        ("0000003fffffffff", "37", machine.CAPABILITIES, True),
        ("0000003fffffffff", "40", machine.CAPABILITIES, False),
        ("000001ffffffffff", "40", machine.CAPABILITIES, True),
        ("000001fffeffffff", "40", tuple(x for x in machine.CAPABILITIES if x != "SYS_RESOURCE"), False),
        ("000000ffffffffff", "40", machine.CAPABILITIES, False),
    ],
    ids=["none", "first", "one", "all of Linux 5.7", "none of the later ones", "all", "one less", "last one less"],
)
def test_capabilities(
    monkeypatch: pytest.MonkeyPatch, bounding: str, last: str, names: tuple[str, ...], every: bool
) -> None:
    """What a container can be given is what the bounding set holds; it is whole when it holds all of this kernel."""
    files = {
        "/proc/sys/kernel/cap_last_cap": f"{last}\n",
        "/proc/self/status": f"Name:\tx\nCapEff:\t0000000000000000\nCapBnd:\t{bounding}\n",
    }
    monkeypatch.setattr(machine, "read", files.get)
    found = machine.host_limits()
    assert found.capabilities == names
    assert found.all_capabilities is every


def test_capabilities_have_their_bits() -> None:
    """The names stand at the bits of linux/capability.h."""
    bits = {"CHOWN": 0, "SETPCAP": 8, "NET_ADMIN": 12, "SYS_MODULE": 16, "SYS_ADMIN": 21, "MKNOD": 27, "AUDIT_READ": 37}
    assert {name: machine.CAPABILITIES.index(name) for name in bits} == bits
    assert machine.CAPABILITIES[machine.CAP_SYS_RESOURCE] == "SYS_RESOURCE"


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the devices that a node likes to have those are told that are there."""
    monkeypatch.setattr(os.path, "exists", lambda path: path == "/dev/fuse")
    assert machine.host_limits().devices == ("/dev/fuse",)


def test_host_limits_without_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel shows nothing its defaults hold."""
    monkeypatch.setattr(machine, "read", lambda _path: None)
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (1, resource.RLIM_INFINITY))
    found = machine.host_limits()
    assert (found.nofile, found.nproc) == (1048576, 32768)


def test_runtimes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Runtimes are those of our two that can be started."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(machine, "PROGRAMS", "")
    assert machine.runtimes() == ()
    for name in ("runc", "crun", "kata"):
        (tmp_path / name).write_text("")
    (tmp_path / "runc").chmod(0o755)
    assert machine.runtimes() == ("runc",)
    (tmp_path / "crun").chmod(0o755)
    assert machine.runtimes() == ("crun", "runc")


def test_host_facts() -> None:
    """The facts of this machine are plain values, those of its limits among them."""
    found, limits = machine.host_facts(), machine.host_limits()
    assert (found["nofile"], found["nproc"], found["memory"]) == (limits.nofile, limits.nproc, limits.memory)
    assert found["runtimes"] == sorted(limits.runtimes)
    assert found["cgroup_version"] in (1, 2)
    assert {"fs.inotify.max_user_instances", "fs.inotify.max_user_watches"} <= set(found["sysctls"])
    assert all(value > 0 for value in found["sysctls"].values())
    assert found["kernel_modules"] is Path("/lib/modules").is_dir()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ID=debian\nVERSION_ID="13"\n', ("debian", "13", "Debian")),
        ("ID=ubuntu\nID_LIKE=debian\nVERSION_ID='24.04'\n", ("ubuntu", "24.04", "Debian")),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', ("rocky", "", "RedHat")),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', ("opensuse-leap", "", "Suse")),
        ("ID=arch\n", ("arch", "", "")),
        (None, ("", "", "")),
    ],
)
def test_distribution(monkeypatch: pytest.MonkeyPatch, text: str | None, expected: tuple[str, str, str]) -> None:
    """A distribution belongs to the family that it or its likes name."""
    monkeypatch.setattr(machine, "read", {"/etc/os-release": text}.get)
    found = machine.distribution()
    assert (found["id"], found["version"], found["family"]) == expected


def test_disabled_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units that are there and that nothing wants; what is not installed is not missed."""
    monkeypatch.setattr(os.path, "exists", "/usr/lib/systemd/system/podman-restart.service".__eq__)
    monkeypatch.setattr(glob, "glob", lambda _pattern: ["/etc/systemd/system/a.wants/docker.service"])
    assert machine.disabled_units() == ["podman-restart.service"]
    monkeypatch.setattr(glob, "glob", lambda _pattern: ["/etc/systemd/system/b.wants/podman-restart.service"])
    assert machine.disabled_units() == []


@pytest.mark.parametrize(
    ("backend", "programs", "refused"),
    [("netavark", (), True), ("netavark", ("nft",), False), ("netavark", ("iptables",), False), ("docker", (), False)],
)
def test_no_packet_filter(backend: str, programs: tuple[str, ...], refused: bool) -> None:
    """netavark without a program to run gives no container a network: it is refused before anything is started."""
    info = engine_info(network_backend=backend)
    if not refused:
        refuse(Facts(info, packet_filters=programs), ENGINE)
        return
    with pytest.raises(KicError) as caught:
        refuse(Facts(info, packet_filters=programs), ENGINE)
    assert caught.value.diagnosis.id == "packet_filter_missing"
    assert "apt-get install iptables nftables" in caught.value.diagnosis.fix
