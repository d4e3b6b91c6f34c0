# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Control groups, read from recorded files of the kernel."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._host.cgroup import (
    Hierarchy,
    container_path,
    find_limits,
    find_use,
    parse_groups,
    parse_hierarchies,
    settled,
)
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import NO_PROCESS, proc

IDENTITY = "43fe8fe0afe50f8a46d7725630861d31b3d3d1fab744c009c8f26d2371dac66f"
V1_GROUP = f"/libpod_parent/libpod-{IDENTITY}"
V2_GROUP = f"/machine.slice/libpod-{IDENTITY}.scope"


def test_hierarchies_of_hybrid_host() -> None:
    """On a hybrid host each controller has its tree, and version 2 one more."""
    found = {item.controllers: item for item in parse_hierarchies(proc("mountinfo-v1-hybrid"))}
    assert found[("memory",)] == Hierarchy("/sys/fs/cgroup/memory", "/", ("memory",))
    assert found[None] == Hierarchy("/sys/fs/cgroup/unified", "/", None)
    assert ("name=systemd",) in found
    assert len(found) == 10


def test_hierarchies_of_unified_host() -> None:
    """On version 2 there is one tree."""
    assert parse_hierarchies(proc("mountinfo-v2-from-docs")) == [Hierarchy("/sys/fs/cgroup", "/", None)]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (
            "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
            [Hierarchy("/sys/fs/cgroup/cpu,cpuacct", "/", ("cpu", "cpuacct"))],
        ),
        (
            "33 31 0:30 /docker/x /a\\040b ro,nosuid shared:9 master:2 - cgroup2 cgroup rw,nsdelegate",
            [Hierarchy("/a b", "/docker/x", None)],
        ),
        ("30 1 0:5 / /proc rw - proc proc rw", []),
        ("", []),
    ],
    ids=["two controllers", "escaped, with a root", "no control groups", "empty"],
)
def test_hierarchy_lines(line: str, found: list[Hierarchy]) -> None:
    """Controllers, roots and escaped places of a mount are read, whatever optional fields stand between."""
    assert parse_hierarchies(line) == found


def test_first_mount_counts() -> None:
    """A tree that is mounted twice counts once, where it was mounted first."""
    lines = "1 0 0:9 / /one rw - cgroup2 none rw\n2 0 0:9 / /two rw - cgroup2 none rw\n"
    assert [item.mountpoint for item in parse_hierarchies(lines)] == ["/one"]


def test_groups() -> None:
    """The group of each controller of a container, on a hybrid host and on version 2."""
    hybrid = parse_groups(proc("cgroup-v1-hybrid"))
    assert hybrid[("memory",)] == hybrid[None] == V1_GROUP
    assert parse_groups(proc("cgroup-v2-from-docs")) == {None: f"{V2_GROUP}/container/init.scope"}
    assert parse_groups("3:cpuacct,cpu:/a:b\n") == {("cpu", "cpuacct"): "/a:b"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (proc("cgroup-v2-from-docs"), True),
        (proc("cgroup-v1-hybrid"), False),
        ("1:name=systemd:/docker/x/init.scope\n0::/\n", True),
        ("0::/docker/myinit.scope\n", False),
        ("0::/init.scope/x\n", False),
        ("", False),
    ],
    ids=["version 2", "no systemd", "version 1", "like a name", "below", "ended"],
)
def test_settled(text: str, expected: bool) -> None:
    """A systemd that has taken its tree is in init.scope."""
    assert settled(text) is expected


@pytest.mark.parametrize(
    ("path", "own"),
    [
        (V1_GROUP, V1_GROUP),
        (f"{V2_GROUP}/container/init.scope", V2_GROUP),
        ("/docker/x/y", "/docker/x/y"),
        ("/", "/"),
    ],
)
def test_container_path(path: str, own: str) -> None:
    """The container's own group is the one that the engine named by its id."""
    assert container_path(path, IDENTITY) == own


def limits(files: dict[str, str], kind: str) -> dict[str, Any]:
    """The limits that are found where /proc is the recorded one and ``files`` are below the groups."""
    table = {
        "/proc/7/cgroup": proc("cgroup-v1-hybrid" if kind == "v1" else "cgroup-v2-from-docs"),
        "/proc/self/mountinfo": proc("mountinfo-v1-hybrid" if kind == "v1" else "mountinfo-v2-from-docs"),
        **files,
    }
    return find_limits(7, IDENTITY, table.get)


@pytest.mark.parametrize(
    ("memory", "quota", "period", "pids", "found"),
    [
        ("268435456\n", "50000\n", "100000\n", "512\n", {"memory": 268435456, "cpus": 0.5, "pids": 512}),
        ("9223372036854771712\n", "-1\n", "100000\n", "max\n", {"memory": None, "cpus": None, "pids": None}),
    ],
    ids=["recorded", "none"],
)
def test_limits_of_version_1(memory: str, quota: str, period: str, pids: str, found: dict[str, Any]) -> None:
    """Limits of version 1, with its two ways of saying that there is none."""
    files = {
        f"/sys/fs/cgroup/memory{V1_GROUP}/memory.limit_in_bytes": memory,
        f"/sys/fs/cgroup/cpu{V1_GROUP}/cpu.cfs_quota_us": quota,
        f"/sys/fs/cgroup/cpu{V1_GROUP}/cpu.cfs_period_us": period,
        f"/sys/fs/cgroup/pids{V1_GROUP}/pids.max": pids,
    }
    assert limits(files, "v1") == found


@pytest.mark.parametrize(
    ("memory", "cpu", "pids", "found"),
    [
        ("1073741824\n", "150000 100000\n", "512\n", {"memory": 1 << 30, "cpus": 1.5, "pids": 512}),
        ("max\n", "max 100000\n", "max\n", {"memory": None, "cpus": None, "pids": None}),
        ("max\n", "33333 100000\n", "1\n", {"memory": None, "cpus": 0.333, "pids": 1}),
    ],
    ids=["set", "none", "a third"],
)
def test_limits_of_version_2(memory: str, cpu: str, pids: str, found: dict[str, Any]) -> None:
    """Limits of version 2 are those of the container's group, not of systemd's below it."""
    directory = f"/sys/fs/cgroup{V2_GROUP}"
    files = {f"{directory}/memory.max": memory, f"{directory}/cpu.max": cpu, f"{directory}/pids.max": pids}
    assert limits(files, "v2") == found


def test_controller_that_is_not_delegated() -> None:
    """A field whose file is not there is left out, which is not the same as no limit."""
    assert limits({f"/sys/fs/cgroup{V2_GROUP}/pids.max": "max\n"}, "v2") == {"pids": None}
    assert limits({}, "v1") == {}


def test_mount_that_shows_a_part() -> None:
    """Where the mount point shows the tree from a group on, paths are taken from there."""
    table = {
        "/proc/7/cgroup": "0::/outer/inner/x\n",
        "/proc/self/mountinfo": "30 23 0:26 /outer /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        "/sys/fs/cgroup/inner/x/pids.max": "9\n",
    }
    assert find_limits(7, "x", table.get) == {"pids": 9}


@pytest.mark.parametrize(
    ("path", "directory"),
    [("/outer2/x", "/sys/fs/cgroup/outer2/x"), ("/outer", "/sys/fs/cgroup"), ("/outer/x", "/sys/fs/cgroup/x")],
    ids=["like its name", "the very group", "below it"],
)
def test_mount_that_shows_another_part(path: str, directory: str) -> None:
    """Only the group that is shown and those below it are taken from there, not one whose name begins the same."""
    table = {
        "/proc/7/cgroup": f"0::{path}\n",
        "/proc/self/mountinfo": "30 23 0:26 /outer /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        "/sys/fs/cgroup2/x/pids.max": "1\n",
        f"{directory}/pids.max": "9\n",
    }
    assert find_limits(7, "none", table.get) == {"pids": 9}


def test_ended_process() -> None:
    """A process that has ended has no limits; the kernel's own files are looked at."""
    assert find_limits(NO_PROCESS, IDENTITY) == {}


USE = [
    pytest.param(
        "v1",
        {
            "memory.usage_in_bytes": "900\n",
            "memory.stat": "cache 5\ninactive_file 7\ntotal_inactive_file 300\n",
            "cpuacct.usage": "21400000000\n",
            "pids.current": "12\n",
        },
        {"memory": 600, "cpu_seconds": 21.4, "pids": 12},
        id="v1",
    ),
    pytest.param(
        "v2",
        {
            "memory.current": "900\n",
            "memory.stat": "anon 5\ninactive_file 300\n",
            "cpu.stat": "usage_usec 21400000\nuser_usec 1\n",
            "pids.current": "12\n",
        },
        {"memory": 600, "cpu_seconds": 21.4, "pids": 12},
        id="v2",
    ),
    pytest.param("v2", {"memory.current": "9"}, {"memory": 9, "cpu_seconds": None, "pids": None}, id="memory-alone"),
    pytest.param("v1", {"pids.current": "max"}, dict.fromkeys(("memory", "cpu_seconds", "pids")), id="nothing"),
]


@pytest.mark.parametrize(("kind", "files", "expected"), USE)
def test_use(kind: str, files: dict[str, str], expected: dict[str, Any]) -> None:
    """What the container's own group has used: not the files that the kernel only keeps for later."""
    table = {
        "/proc/7/cgroup": proc("cgroup-v1-hybrid" if kind == "v1" else "cgroup-v2-from-docs"),
        "/proc/self/mountinfo": proc("mountinfo-v1-hybrid" if kind == "v1" else "mountinfo-v2-from-docs"),
    }

    def reader(path: str) -> str | None:
        return table.get(path) or files.get(path.rpartition("/")[2])

    assert find_use(7, IDENTITY, reader) == expected


def test_use_of_what_has_ended() -> None:
    """Nothing is known of it."""
    assert set(find_use(NO_PROCESS, IDENTITY).values()) == {None}
