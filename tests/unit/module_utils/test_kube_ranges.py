# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ranges of pods and services next to what the machine reaches already."""

from __future__ import annotations

import ipaddress

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.network import ranges


@pytest.mark.parametrize(
    ("value", "routes", "servers", "said"),
    [
        pytest.param("10.244.0.0/16", ["192.168.1.0/24", "10.89.0.0/24"], ["192.168.1.1"], [], id="apart"),
        pytest.param("192.168.0.0/16", ["192.168.1.0/24"], ["192.168.1.1"], ["name server 192.168.1.1"], id="resolver"),
        pytest.param("192.168.0.0/16", ["192.168.1.0/24"], [], ["routes 192.168.1.0/24"], id="local-network"),
        pytest.param("10.244.0.0/16", ["10.0.0.0/8"], [], ["routes 10.0.0.0/8"], id="vpn"),
        pytest.param(
            "10.244.0.0/16,fd00:1::/56", ["fd00:1:0:5::/64"], ["fd00:1::53"], ["server fd00:1::53"], id="ipv6"
        ),
        pytest.param(
            "10.0.0.0/8",
            ["10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24", "10.4.0.0/24"],
            [],
            ["routes 10.1.0.0/24, 10.2.0.0/24, 10.3.0.0/24, …, which"],
            id="many",
        ),
    ],
)
def test_hidden(value: str, routes: list[str], servers: list[str], said: list[str]) -> None:
    """What lies in a range of the cluster is named with the option, one sentence a range."""
    found = ranges.hidden({"pod_subnet": value}, [ipaddress.ip_network(item) for item in routes], servers)
    assert len(found) == len(said)
    for text, words in zip(found, said):
        assert text.startswith("pod_subnet: ") and words in text and "Fix: " in text


def test_resolvers() -> None:
    """Name servers outside this machine, by their addresses."""
    text = (
        "# nameserver 9.9.9.9\nnameserver 127.0.0.53\nnameserver 192.168.1.1\nnameserver fe80::1%eth0\nnameserver x\n"
    )
    assert ranges.resolvers(text + "search example.com\nnameserver\n") == ("192.168.1.1", "fe80::1")


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ("10.244.0.0/16", ["10.0.0.2"]),
        ("10.244.0.0/16,fd00:1::/56", ["10.0.0.2", "fd00::2"]),
    ],
)
def test_addresses_of_a_node(pods: str, expected: list[str]) -> None:
    """kubelet reports one address of each IP version of the pods, in their order."""
    assert ranges.of_node(["10.0.0.2", "10.0.0.3", "fd00::2"], pods) == expected
