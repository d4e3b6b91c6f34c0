# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pod network's script in a network of its own: what Node objects of any kind do to routes and packet filter.

The script, ip, nft and jq are the real ones. Of the API there is only what it would print.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FILES = Path(__file__).resolve().parents[2] / "roles/kic_cluster/files/node"
SCRIPT = FILES / "usr/local/lib/nodeforge.kic/pod-network"
NODE = "lab-control-plane-1"
OTHER = "lab-worker-1"
OTHER_ROUTE = "10.244.1.0/24 via 10.89.0.3"

SETUP = r"""
set -e
mount -t tmpfs tmpfs /run
hostname "$NODE"
ip link set lo up
ip link add eth0 type veth peer name peer0
ip address add 10.89.0.2/24 dev eth0
ip link set eth0 up
ip link set peer0 up
python3 -m http.server --bind 127.0.0.1 6443 >/dev/null 2>&1 &
exec "$SCRIPT"
"""

CURL = r"""#!/bin/sh
for url; do :; done
case $url in
  *fieldSelector*) cat "$ROOM/own" ;;
  *configmaps*) cat "$ROOM/configmap" ;;
  *) exec tail -n +1 -f "$ROOM/events" ;;
esac
"""


def node(name: str, number: int, **changes: Any) -> dict[str, Any]:
    """A Node object as the API has it."""
    ranges = changes.get("ranges", [f"10.244.{number}.0/24"])
    addresses = changes.get("addresses", [f"10.89.0.{number + 2}"])
    return {
        "kind": "Node",
        "metadata": {"name": name, "creationTimestamp": f"2026-01-01T00:00:{number:02}Z"},
        "spec": {"podCIDRs": ranges, "podCIDR": ranges[0]} if ranges else {},
        "status": {"addresses": [{"type": "InternalIP", "address": item} for item in addresses]},
    }


def event(kind: str, value: dict[str, Any]) -> str:
    """A line of a watch."""
    return json.dumps({"type": kind, "object": value}) + "\n"


BOOKMARK = event("BOOKMARK", {"kind": "Node", "metadata": {}})


class Room:
    """The script on a machine of its own, with one interface."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._events = path / "events"
        (path / "bin").mkdir()
        for name, text in (("curl", CURL), ("systemctl", '#!/bin/sh\necho "$*" >>"$ROOM/systemctl"\n')):
            (path / "bin" / name).write_text(text)
            (path / "bin" / name).chmod(0o755)
        (path / "kubeconfig").write_text("    server: https://127.0.0.1:6443\n")
        self.subnets("10.244.0.0/16")
        own = event("ADDED", node(NODE, 0))
        (path / "own").write_text(own + BOOKMARK)
        self._events.write_text(own + event("ADDED", node(OTHER, 1)) + BOOKMARK)
        self.process: subprocess.Popen[str] | None = None

    def subnets(self, value: str) -> None:
        """Set the pod subnet of the cluster."""
        text = f"networking:\n  podSubnet: {value}\n" if value else ""
        (self.path / "configmap").write_text(json.dumps({"data": {"ClusterConfiguration": text}}))

    def start(self) -> None:
        """Start the script; what it prints is in the file log."""
        environment = {
            **os.environ,
            "ROOM": str(self.path),
            "PATH": f"{self.path / 'bin'}:{os.environ['PATH']}",
            "KUBECONFIG": str(self.path / "kubeconfig"),
            "CNI_DIR": str(self.path / "cni"),
            "NODE": NODE,
            "SCRIPT": str(SCRIPT),
        }
        alone = ["unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with (self.path / "log").open("w") as log:
            self.process = subprocess.Popen(
                [*alone, "bash", "-c", SETUP], env=environment, stdout=log, stderr=log, text=True
            )

    def stop(self) -> None:
        """End the script and all in its namespaces."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def tell(self, kind: str, value: dict[str, Any]) -> None:
        """Let the API report a node."""
        with self._events.open("a") as events:
            events.write(event(kind, value))

    def inside(self, *command: str) -> str:
        """What a command prints there."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        if not children:
            return ""
        return subprocess.run(
            ["nsenter", "--target", children[0], "--mount", "--net", *command],
            capture_output=True,
            text=True,
            check=False,
        ).stdout

    @property
    def routes(self) -> list[str]:
        """Routes to other nodes."""
        text = self.inside("ip", "-4", "route", "show", "proto", "76")
        return sorted(line.partition(" dev")[0] for line in text.splitlines())

    @property
    def problems(self) -> str:
        """What the script wrote down."""
        return self.inside("cat", "/run/kic-pod-network/problems")

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
        """Wait for something; the script must not end meanwhile."""
        end = time.monotonic() + seconds
        assert self.process is not None
        while not condition():
            log = (self.path / "log").read_text()
            assert self.process.poll() is None, f"the script ended: {log}"
            assert time.monotonic() < end, f"not {what}: {self.routes} {self.problems} {log}"
            time.sleep(0.1)


@pytest.fixture(name="room")
def _room(tmp_path: Path) -> Iterator[Room]:
    if os.geteuid() != 0 or not all(shutil.which(name) for name in ("unshare", "nsenter", "ip", "nft", "jq")):
        pytest.skip("needs root and the programs of a node: ip, nft, jq")
    room = Room(tmp_path)
    try:
        yield room
    finally:
        room.stop()


BAD = {
    "unreachable": ({"addresses": ["203.0.113.9"]}, "no route leads to its address 203.0.113.9"),
    "own-address": ({"addresses": ["10.89.0.2"]}, "10.89.0.2 is an address of this node"),
    "loopback": ({"addresses": ["127.0.0.2"]}, "127.0.0.2 is not an address that a node can have"),
    "unspecified": ({"addresses": ["0.0.0.0"]}, "0.0.0.0 is not an address that a node can have"),
    "multicast": ({"addresses": ["224.0.0.1"]}, "224.0.0.1 is not an address that a node can have"),
    "name": ({"addresses": ["fake.example"]}, '"fake.example" is not a valid address'),
    "injected-route": ({"addresses": ["10.89.0.66;4 10.244.1.0/24 10.89.0.66"]}, "is not a valid address"),
    "injected-line": ({"addresses": ["10.89.0.66\nroute 4 10.244.1.0/24 10.89.0.66"]}, "is not a valid address"),
    "injected-option": ({"addresses": ["10.89.0.66 dev lo"]}, "is not a valid address"),
    "injected-command": ({"addresses": ["$(touch /run/injected)"]}, "is not a valid address"),
    "leading-zero": ({"addresses": ["10.89.0.066"]}, "is not a valid address"),
    "ipv6-nonsense": ({"addresses": ["fe80:::1"], "ranges": ["10.244.9.0/24", "fd00:1::/64"]}, "is not in the pod"),
    "range-of-another": ({"ranges": ["10.244.1.0/24"]}, f"overlaps 10.244.1.0/24 of the node {OTHER}"),
    "part-of-anothers": ({"ranges": ["10.244.1.128/25"]}, f"overlaps 10.244.1.0/24 of the node {OTHER}"),
    "range-of-this-node": ({"ranges": ["10.244.0.0/24"]}, f"overlaps 10.244.0.0/24 of the node {NODE}"),
    "whole-subnet": ({"ranges": ["10.244.0.0/16"]}, "overlaps 10.244.0.0/24"),
    "outside-the-subnet": ({"ranges": ["192.0.2.0/24"]}, "is not in the pod subnet 10.244.0.0/16"),
    "everything": ({"ranges": ["0.0.0.0/0"]}, "is not a valid range"),
    "half-of-everything": ({"ranges": ["128.0.0.0/1"]}, "is not in the pod subnet"),
    "no-range": ({"ranges": ["10.244.9.0"]}, '"10.244.9.0" is not a valid range'),
    "host-bits": ({"ranges": ["10.244.9.1/24"]}, "is not a valid range"),
    "injected-set": ({"ranges": ["10.244.9.0/24 } ; }"]}, "is not a valid range"),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[pytest.mark.full("two seconds each; four of them are quick")] if number % 6 else [])
        for number, case in enumerate(BAD)
    ],
)
def test_a_bad_node_is_skipped(room: Room, case: str) -> None:
    """One Node object of which something is wrong is named and skipped; nodes after it get their routes, and it gets
    its own when it is right. Nothing restarts."""
    changes, said = BAD[case]
    room.start()
    room.until(lambda: room.routes == [OTHER_ROUTE], "a route to the other node")
    room.tell("ADDED", node("fake", 9, **changes))
    room.tell("ADDED", node("lab-worker-2", 2))
    later = "10.244.2.0/24 via 10.89.0.4"
    room.until(lambda: room.routes == [OTHER_ROUTE, later], "a route to the node after the bad one")
    room.until(lambda: said in room.problems, "a problem")
    assert all(line.startswith("node fake is skipped: ") for line in room.problems.splitlines())
    assert room.inside("ls", "/run/injected") == ""
    pods = room.inside("nft", "list", "set", "ip", "kic-pod-network", "pods")
    assert "10.244.0.0/24" in pods and "192.0.2" not in pods and "128.0.0.0" not in pods
    assert "restart kic-pod-network-check.service" in (room.path / "systemctl").read_text()
    room.tell("MODIFIED", node("fake", 9))
    room.until(lambda: "10.244.9.0/24 via 10.89.0.11" in room.routes, "a route to the corrected node")
    room.until(lambda: room.problems == "", "the end of the problem")


def test_a_network_that_comes_later(room: Room) -> None:
    """An address that cannot be reached yet is tried again without an event of the API."""
    room.start()
    room.tell("ADDED", node("lab-worker-2", 2, addresses=["10.90.0.4"]))
    room.until(lambda: "no route leads to its address 10.90.0.4" in room.problems, "a problem")
    room.inside("ip", "address", "add", "10.90.0.2/24", "dev", "eth0")
    room.until(lambda: "10.244.2.0/24 via 10.90.0.4" in room.routes, "a route", seconds=30)
    room.until(lambda: room.problems == "", "the end of the problem")


def test_a_changed_address_takes_the_old_route_away(room: Room) -> None:
    """A node whose new address leads nowhere keeps no route by its old one; a node that is gone has none."""
    room.start()
    room.tell("ADDED", node("lab-worker-2", 2))
    room.until(lambda: len(room.routes) == 2, "two routes")
    room.tell("MODIFIED", node(OTHER, 1, addresses=["203.0.113.9"]))
    room.until(lambda: room.routes == ["10.244.2.0/24 via 10.89.0.4"], "one route")
    room.tell("DELETED", node("lab-worker-2", 2))
    room.until(lambda: room.routes == [], "no route")


@pytest.mark.parametrize("said", ["", '"10.244.0.0/16"', "10.244.0.0/16,fd00:10:244::/56"], ids=repr)
def test_where_the_pod_subnet_is_from(room: Room, said: str) -> None:
    """Without a configuration of kubeadm ranges are compared with those of others and of the networks here only."""
    room.subnets(said)
    room.start()
    room.tell("ADDED", node("fake", 9, ranges=["10.89.0.0/25"]))
    room.tell("ADDED", node("lab-worker-2", 2))
    room.until(lambda: len(room.routes) == 2, "two routes")
    expected = "overlaps 10.89.0.0/24, to which this node is connected" if not said else "is not in the pod subnet"
    assert expected in room.problems


def test_refused_rules(room: Room) -> None:
    """A packet filter that refuses the rules is a problem that is written down and tried again, not a restart."""
    nft = room.path / "bin" / "nft"
    refuses = room.path / "refuses"
    refuses.touch()
    # bash remembers where a program is: it is the same program that refuses first and works then.
    nft.write_text(f'#!/bin/sh\n[ ! -e {refuses} ] || exit 1\nexec {shutil.which("nft")} "$@"\n')
    nft.chmod(0o755)
    room.start()
    room.until(lambda: "nft refuses the rules" in room.problems, "a problem")
    room.until(lambda: room.routes == [OTHER_ROUTE], "a route to the other node")
    refuses.unlink()
    room.until(lambda: room.problems == "", "the end of the problem", seconds=30)


def test_units_of_the_pod_network() -> None:
    """What is written down makes a unit fail, so that systemd calls the node degraded."""
    unit = (FILES / "etc/systemd/system/kic-pod-network-check.service").read_text(encoding="utf-8")
    assert "/run/kic-pod-network/problems" in unit and "Type=oneshot" in unit
