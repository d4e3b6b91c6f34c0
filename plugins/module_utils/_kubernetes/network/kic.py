# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pod network of this collection: what each node gets as files, from who is in the cluster. Pure.

A program in the node (roles/kic_cluster/files/node/usr/local/lib/nodeforge.kic/network) applies them.
"""

from __future__ import annotations

import hashlib
import io
import ipaddress
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..._core.checks import IPNetwork
from . import ranges

PROGRAM = "/usr/local/lib/nodeforge.kic/network"
"""What applies the files in a node. An image that is not ours gets it with the other files of a node."""

TABLE = "kic-pod-network"

Files = Mapping[str, str]


@dataclass(frozen=True)
class Registered:
    """What the API lists of a node."""

    name: str
    created: str
    ranges: tuple[str, ...]
    ready: bool


@dataclass(frozen=True)
class State:
    """What the program in a node says of its files."""

    word: str = ""
    """``fits``, ``differs`` from what was made of them, ``none`` without files, ``""`` without the program."""
    digest: str = ""

    @property
    def broken(self) -> bool:
        """Whether the program has something to do, whatever the files have to be."""
        return self.word in ("differs", "none")

    @classmethod
    def parse(cls, text: str) -> State:
        """From a line of the program."""
        word, _space, digest = text.strip().partition(" ")
        return cls(word, digest)


@dataclass(frozen=True)
class Member:
    """A node of the pod network: its own addresses, one of an IP version, and the ranges of its pods."""

    name: str
    addresses: tuple[str, ...]
    ranges: tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """The members, and why nodes are none, by name."""

    members: tuple[Member, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)

    def files(self, name: str) -> Files | None:
        """The files of a node; None where it is no member."""
        own = next((item for item in self.members if item.name == name), None)
        return None if own is None else files_of(own, self.members)


def decode(nodes: Iterable[Mapping[str, Any]]) -> tuple[Registered, ...]:
    """Node objects of the API."""
    return tuple(
        Registered(
            name=item["metadata"]["name"],
            created=item["metadata"].get("creationTimestamp") or "",
            ranges=tuple((item.get("spec") or {}).get("podCIDRs") or ()),
            ready=any(
                one["type"] == "Ready" and one["status"] == "True"
                for one in (item.get("status") or {}).get("conditions") or ()
            ),
        )
        for item in nodes
    )


def wanted(nodes: Sequence[Registered], addresses: Mapping[str, Sequence[str]], pods: str) -> Wanted:
    """Who is part of the pod network. A range belongs to the node that was there first; whoever creates a Node object may
    write any text into it.

    :param addresses: of the containers of the cluster, by name: they are the engine's, whatever a node says.
    :param pods: the pod subnet of the cluster; ``""`` where it is not known.
    """
    allowed = ranges.parse("pod_subnet", pods) if pods else []
    taken: list[tuple[IPNetwork, str]] = []
    members: list[Member] = []
    skipped: dict[str, str] = {}
    for node in sorted(nodes, key=lambda item: (item.created, item.name)):
        own = addresses.get(node.name)
        parsed = [_range(text) for text in node.ranges]
        problem = "it is not a container of the cluster on this engine" if own is None else ""
        problem = problem or _problem(node, parsed, allowed, taken)
        if problem:
            skipped[node.name] = problem
            continue
        networks = [item for item in parsed if item is not None]
        taken += [(item, node.name) for item in networks]
        texts = ",".join(str(item) for item in networks)
        members.append(Member(node.name, tuple(ranges.of_node(own or (), texts)), tuple(texts.split(","))))
    return Wanted(tuple(members), skipped)


def _range(text: str) -> IPNetwork | None:
    try:
        return ipaddress.ip_network(text) if "/" in text else None
    except ValueError:
        return None


def _within(item: IPNetwork, other: IPNetwork) -> bool:
    return other.prefixlen <= item.prefixlen and item.supernet(new_prefix=other.prefixlen) == other


def _problem(
    node: Registered,
    parsed: Sequence[IPNetwork | None],
    allowed: Sequence[IPNetwork],
    taken: Sequence[tuple[IPNetwork, str]],
) -> str:
    """Why the ranges of a node are not used; ``""`` where they are."""
    if not parsed:
        return "it has no range of pod addresses yet"
    for text, item in zip(node.ranges, parsed):
        if item is None or item.prefixlen == 0:
            return f"{text[:80]!r} is not a valid range of pod addresses"
        if allowed and not any(_within(item, one) for one in allowed):
            return f"its range {item} is not in the pod subnet {','.join(str(one) for one in allowed)}"
        other = next((pair for pair in taken if pair[0].version == item.version and pair[0].overlaps(item)), None)
        if other is not None:
            return f"its range {item} overlaps {other[0]} of the node {other[1]}"
    return ""


def files_of(own: Member, members: Sequence[Member]) -> Files:
    """The files of one node."""
    others = [item for item in members if item.name != own.name]
    routes = [
        f"{text} {address} {other.name}\n"
        for other in others
        for text in other.ranges
        for address in other.addresses
        if _version(address) == _version(text)
    ]
    everyone = [text for item in members for text in item.ranges]
    return {
        "10-kic.conflist": json.dumps(_cni(own.ranges), indent=1) + "\n",
        "address": f"{own.addresses[0] if own.addresses else ''}\n",
        "routes": "".join(sorted(routes)),
        "rules.nft": "".join(_masquerading(version, own.ranges, everyone) for version in (4, 6)),
    }


def _version(text: str) -> int:
    return 6 if ":" in text else 4


def _cni(own: Sequence[str]) -> dict[str, Any]:
    gateways = {4: "0.0.0.0/0", 6: "::/0"}
    ipam = {
        "type": "host-local",
        # In memory: after a restart no container of before holds an address.
        "dataDir": "/run/cni-ipam-state",
        "ranges": [[{"subnet": text}] for text in own],
        "routes": [{"dst": gateways[_version(text)]} for text in own],
    }
    # The size is that of the node's own interface, which the program in the node knows.
    ptp = {"type": "ptp", "ipMasq": False, "mtu": "@MTU@", "ipam": ipam}
    return {
        "cniVersion": "0.3.1",
        "name": "kic",
        "plugins": [ptp, {"type": "portmap", "capabilities": {"portMappings": True}}],
    }


def _masquerading(version: int, own: Sequence[str], everyone: Sequence[str]) -> str:
    """Rules for nft; the first two lines make it one transaction, whether or not the table is there."""
    kind, address = ("ip6", "ipv6_addr") if version == 6 else ("ip", "ipv4_addr")
    head = f"table {kind} {TABLE}\ndelete table {kind} {TABLE}\n"
    here = ", ".join(text for text in own if _version(text) == version)
    if not here:
        return head
    pods = ", ".join(sorted(text for text in everyone if _version(text) == version))
    return f"""{head}table {kind} {TABLE} {{
  set here {{ type {address}; flags interval; elements = {{ {here} }} }}
  set pods {{ type {address}; flags interval; elements = {{ {pods} }} }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "lo" return
    {kind} saddr @here {kind} daddr != @pods masquerade
  }}
}}
"""


def digest(files: Files) -> str:
    """As the program in the node computes it: sha256sum of the output of sha256sum."""
    lines = (f"{hashlib.sha256(files[name].encode()).hexdigest()}  {name}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def archive(files: Files) -> bytes:
    """The files as a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as found:
        for name, text in sorted(files.items()):
            item = tarfile.TarInfo(name)
            item.size = len(text.encode())
            found.addfile(item, io.BytesIO(text.encode()))
    return buffer.getvalue()


def differing(want: Wanted, states: Mapping[str, State]) -> tuple[str, ...]:
    """Nodes whose files, or what was made of them, are not what they have to be."""
    found = []
    for member in want.members:
        state = states.get(member.name)
        if state is not None and state.word and state != State("fits", digest(files_of(member, want.members))):
            found.append(member.name)
    return tuple(found)
