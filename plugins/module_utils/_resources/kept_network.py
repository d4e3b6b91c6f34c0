# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a network was, for as long as it is replaced: two of one name cannot be there at once.

The record is a label of another small network, next to the one that is replaced. Like the network itself it is the engine's:
whoever of its users comes next finds it, also when the run that made it was killed, and it goes with a teardown.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence

from .._core import labels
from .._core.checks import IPNetwork
from .._core.replaced import probe_name
from .._core.subnet import DEFAULT_POOLS, first_free
from .._engine.model import Network, Range

_PREFIX = 29
"""It needs no more than an engine makes a network of."""


def keeper(old: Network, taken: Sequence[IPNetwork], guards: Sequence[IPNetwork]) -> Network | None:
    """A network that records ``old``; None where no subnet is free for it. ``guards`` are taken only where nothing else is
    free."""
    pools = [ipaddress.ip_network(pool) for pool in DEFAULT_POOLS]
    subnet = first_free(pools, _PREFIX, [*taken, *guards]) or first_free(pools, _PREFIX, taken)
    if subnet is None:
        return None
    mark = {**labels.ownership(old.labels.get(labels.CLUSTER)), labels.KEEPS: _encoded(old)}
    ranges = (Range(subnet, subnet.network_address + 1),)
    return Network(id="", name=probe_name(old.name), driver="bridge", ranges=ranges, mtu=None, labels=mark)


def kept(found: Network | None, name: str) -> Network | None:
    """The network ``name`` that ``found`` records; None where it records none that can be read."""
    try:
        content = json.loads(found.labels[labels.KEEPS]) if found is not None else None
        if not isinstance(content, dict) or not labels.is_ours(content["labels"]):
            return None
        return Network(
            id="",
            name=name,
            driver=str(content["driver"]),
            ranges=tuple(Range.of(subnet, gateway) for subnet, gateway in content["ranges"]),
            mtu=int(content["mtu"]) if content["mtu"] is not None else None,
            labels={str(key): str(value) for key, value in content["labels"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _encoded(network: Network) -> str:
    ranges = [[str(item.subnet), str(item.gateway) if item.gateway else None] for item in network.ranges]
    content = {"driver": network.driver, "ranges": ranges, "mtu": network.mtu, "labels": dict(network.labels)}
    return json.dumps(content, sort_keys=True)
