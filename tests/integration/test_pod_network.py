# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pod network's program in a network of its own: what it makes of the files of a node, and what it finds broken.

The program, ip, nft and tar are the real ones, the files are those that a run writes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.network import kic
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.network.kic import Member, State

FILES = Path(__file__).resolve().parents[2] / "roles/kic_cluster/files/node"
PROGRAM = FILES / "usr/local/lib/nodeforge.kic/network"
OWN = Member("lab-control-plane-1", ("10.89.0.2", "fd00:89::2"), ("10.244.0.0/24", "fd00:244::/64"))
FIRST = Member("lab-worker-1", ("10.89.0.3", "fd00:89::3"), ("10.244.1.0/24", "fd00:244:0:1::/64"))
LATER = Member("lab-worker-2", ("10.90.0.4",), ("10.244.2.0/24",))
ROUTES = ["10.244.1.0/24 via 10.89.0.3", "fd00:244:0:1::/64 via fd00:89::3"]

SETUP = r"""
set -e
mount -t tmpfs tmpfs /run
# That of its own interfaces.
mount -t sysfs sysfs /sys
ip link set lo up
ip link add eth0 type veth peer name peer0
ip link set eth0 mtu 1380
ip address add 10.89.0.2/24 dev eth0
ip address add fd00:89::2/64 dev eth0 nodad
ip link set eth0 up
ip link set peer0 up
echo ready
exec sleep infinity
"""


class Room:
    """A machine of its own with one interface, on which the program runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "bin").mkdir()
        self.program("systemctl", f'echo "$*" >>{path / "systemctl"}')
        alone = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self.process = subprocess.Popen([*alone, "bash", "-c", SETUP], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None and self.process.stdout.readline() == "ready\n"

    def program(self, name: str, text: str) -> Path:
        """A program that stands before those of the machine."""
        path = self.path / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def stop(self) -> None:
        """End all in its namespaces."""
        self.process.kill()
        self.process.wait()

    def run(self, *command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a command there."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        environment = {
            **os.environ,
            "PATH": f"{self.path / 'bin'}:{os.environ['PATH']}",
            "FILES": str(self.path / "files"),
            "CNI_DIR": str(self.path / "cni"),
        }
        inside = ["nsenter", "--target", children[0], "--mount", "--net", "--pid"]
        return subprocess.run([*inside, *command], input=stdin, env=environment, capture_output=True, check=False)

    def take(self, *members: Member) -> str:
        """Give the node the files of a cluster of itself and the members; what the program complains of."""
        files = kic.files_of(OWN, [OWN, *members])
        done = self.run(str(PROGRAM), "take", stdin=kic.archive(files))
        assert (done.returncode != 0) is bool(done.stdout), done
        return done.stdout.decode()

    def apply(self) -> str:
        """What the unit does at each start; what the program complains of."""
        done = self.run(str(PROGRAM))
        assert (done.returncode != 0) is bool(done.stdout), done
        return done.stdout.decode()

    @property
    def state(self) -> State:
        """What the program says of its files."""
        done = self.run(str(PROGRAM), "status")
        assert done.returncode == 0 and not done.stderr, done
        return State.parse(done.stdout.decode())

    @property
    def routes(self) -> list[str]:
        """Routes to other nodes."""
        lines = [
            line.partition(" dev")[0]
            for family in "46"
            for line in self.run("ip", f"-{family}", "route", "show", "proto", "76").stdout.decode().splitlines()
        ]
        return sorted(lines)

    @property
    def rules(self) -> str:
        """The packet filter."""
        return self.run("nft", "list", "ruleset").stdout.decode()


@pytest.fixture(name="room")
def _room(tmp_path: Path) -> Iterator[Room]:
    if os.geteuid() != 0 or not all(shutil.which(name) for name in ("unshare", "nsenter", "ip", "nft")):
        pytest.skip("needs root and the programs of a node: ip, nft")
    room = Room(tmp_path)
    try:
        yield room
    finally:
        room.stop()


def test_files_are_applied(room: Room) -> None:
    """CNI gets the size of the node's packets, there is a route to each other node and masquerading of both IP versions;
    nothing of it keeps running, and applying it once more changes nothing."""
    assert room.state == State("none")
    assert room.take(FIRST) == ""
    assert room.routes == ROUTES
    written = json.loads((room.path / "cni/10-kic.conflist").read_text())
    assert written["plugins"][0]["mtu"] == 1380
    assert [item[0]["subnet"] for item in written["plugins"][0]["ipam"]["ranges"]] == list(OWN.ranges)
    assert "ip saddr @here ip daddr != @pods masquerade" in room.rules and "ip6 saddr @here" in room.rules
    fits = State("fits", kic.digest(kic.files_of(OWN, [OWN, FIRST])))
    rules = room.rules
    assert room.state == fits
    assert room.apply() == "" and (room.state, room.rules, room.routes) == (fits, rules, ROUTES)
    assert not (room.path / "systemctl").exists()


def test_nodes_come_and_go(room: Room) -> None:
    """A node that left has no route any more, one with another address has the new one; routes of others stay."""
    room.run("ip", "route", "add", "203.0.113.0/24", "via", "10.89.0.9")
    room.take(FIRST)
    moved = Member(FIRST.name, ("10.89.0.7",), FIRST.ranges[:1])
    assert room.take(moved) == "" and room.routes == ["10.244.1.0/24 via 10.89.0.7"]
    assert room.take() == "" and room.routes == []
    assert b"203.0.113.0/24" in room.run("ip", "route").stdout


BROKEN: dict[str, tuple[str, ...]] = {
    "all-rules-flushed": ("nft", "flush", "ruleset"),
    "chain-flushed": ("nft", "flush", "table", "ip", "kic-pod-network"),
    "table-of-ipv6-gone": ("nft", "delete", "table", "ip6", "kic-pod-network"),
    "route-gone": ("ip", "route", "del", "10.244.1.0/24"),
    "route-changed": ("ip", "route", "replace", "10.244.1.0/24", "via", "10.89.0.9", "proto", "76"),
    "cni-gone": ("sh", "-c", 'rm "$CNI_DIR"/*'),
    "cni-of-others": ("sh", "-c", 'echo "{}" >"$CNI_DIR/10-kic.conflist"'),
    "restarted": ("rm", "-r", "/run/kic-network"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_others_broke_is_found_and_repaired(room: Room, case: str) -> None:
    """What was made of the files is compared with what is there; applying the files makes it right."""
    room.take(FIRST)
    fits, rules = room.state, room.rules
    room.run(*BROKEN[case])
    assert room.state == State("differs", fits.digest)
    assert room.apply() == "" and (room.state, room.rules, room.routes) == (fits, rules, ROUTES)


def test_rules_of_others_stay(room: Room) -> None:
    """Only our own tables are replaced."""
    room.run("nft", "add", "table", "ip", "theirs")
    room.take(FIRST)
    room.apply()
    assert "table ip theirs" in room.rules
    room.run(str(PROGRAM), "remove")
    assert "table ip theirs" in room.rules and "kic-pod-network" not in room.rules


def test_a_network_that_comes_later(room: Room) -> None:
    """A node to which no route leads is named, the others get theirs, and the unit repeats it until it works."""
    said = room.take(FIRST, LATER)
    assert said.startswith("the node lab-worker-2 is skipped: no route leads to its address 10.90.0.4 (")
    assert room.routes == ROUTES and room.state.word == "differs"
    assert (room.path / "systemctl").read_text() == "--no-block restart kic-network.service\n"
    room.run("ip", "address", "add", "10.90.0.2/24", "dev", "eth0")
    assert room.apply() == "" and room.state.word == "fits"
    assert "10.244.2.0/24 via 10.90.0.4" in room.routes


def test_refused_rules(room: Room) -> None:
    """A packet filter that refuses the rules is reported and repeated; routes and CNI are there meanwhile."""
    refusing = room.program("nft", "echo no >&2; exit 1")
    said = room.take(FIRST)
    assert said == "nft refuses the rules of masquerading: no\n"
    assert room.routes == ROUTES and (room.path / "cni/10-kic.conflist").exists() and room.state.word == "differs"
    refusing.unlink()
    assert room.apply() == "" and room.state.word == "fits"


def test_removed(room: Room) -> None:
    """Of a pod network that is removed nothing is left."""
    room.take(FIRST)
    assert room.run(str(PROGRAM), "remove").returncode == 0
    assert (room.routes, room.state, list((room.path / "cni").iterdir())) == ([], State("none"), [])
    assert "kic-pod-network" not in room.rules


def test_two_at_once(room: Room) -> None:
    """One waits for the other: what is there belongs to one set of files."""
    archive = kic.archive(kic.files_of(OWN, [OWN, FIRST]))
    (room.path / "archive").write_bytes(archive)
    both = f"for _ in 1 2 3 4; do {PROGRAM} take <{room.path / 'archive'} & {PROGRAM} & done; wait"
    assert room.run("bash", "-c", both).stdout == b""
    assert room.state.word == "fits" and room.routes == ROUTES


@pytest.mark.parametrize("key", ["Restart=on-failure", "Type=oneshot", "ConditionPathExists="])
def test_unit_of_the_pod_network(key: str) -> None:
    """It runs once at each start, where there are files, and repeats only what failed."""
    unit = (FILES / "etc/systemd/system/kic-network.service").read_text(encoding="utf-8")
    assert key in unit and "/usr/local/lib/nodeforge.kic/network" in unit
