# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that an engine is given as they are: checked, kept, compared and passed on by their row alone."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_arguments import NODE
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_options import PASSED_ON, engine_arguments
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_spec import (
    NodeSpec,
    decode_asked,
    encode_asked,
)

from .support import fails, node_params


def spec(**given: Any) -> NodeSpec:
    """A node with these options."""
    return NodeSpec.from_params(node_params(**given))


@pytest.mark.parametrize(
    ("given", "kept", "arguments"),
    [
        ({}, {}, []),
        ({"dns": ["192.0.2.1", "2001:db8::1"]}, {}, ["--dns", "192.0.2.1", "--dns", "2001:db8::1"]),
        ({"dns_search": ["lab.example", "_x.y."]}, {}, ["--dns-search", "lab.example", "--dns-search", "_x.y."]),
        ({"dns_search": ["."]}, {}, ["--dns-search", "."]),
        (
            {"extra_hosts": {"b": "2001:DB8::1", "a.lab": "192.0.2.7"}},
            {"extra_hosts": {"a.lab": "192.0.2.7", "b": "2001:db8::1"}},
            ["--add-host", "a.lab:192.0.2.7", "--add-host", "b:2001:db8::1"],
        ),
        ({"shm_size": "256m"}, {"shm_size": 256 << 20}, ["--shm-size", f"{256 << 20}b"]),
        ({"cgroup_parent": "lab.slice"}, {}, ["--cgroup-parent", "lab.slice"]),
    ],
    ids=["none", "dns", "search", "no-search", "hosts", "shm", "cgroup"],
)
def test_what_is_kept_and_passed_on(given: dict[str, Any], kept: dict[str, Any], arguments: list[str]) -> None:
    """The label keeps what was requested in one form, and a node without such an option reads as one that left it out."""
    found = spec(**given)
    expected = {**{option.name: option.default for option in PASSED_ON}, **given, **kept}
    assert {name: found.asked[name] for name in expected} == expected
    assert decode_asked(encode_asked(found.asked)) == found.asked
    assert list(engine_arguments(found.passed_on)) == arguments
    before = decode_asked("{}")
    assert {name: before[name] for name in expected} == {option.name: option.default for option in PASSED_ON}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"dns": ["resolver.example"]}, "dns: 'resolver.example'"),
        ({"dns_search": ["-x"]}, "dns_search: '-x' is not a domain"),
        ({"dns_search": ["a b"]}, "dns_search: 'a b' is not a domain"),
        ({"extra_hosts": {"a b": "192.0.2.1"}}, "extra_hosts: 'a b' is not a host name"),
        ({"extra_hosts": {"a": "b"}}, "extra_hosts.a: 'b'"),
        ({"extra_hosts": {"--x": "192.0.2.1"}}, "extra_hosts: '--x' is not a host name"),
        ({"shm_size": "large"}, "shm_size: 'large'"),
        ({"cgroup_parent": "--privileged"}, "cgroup_parent: '--privileged' is not a path"),
        ({"cgroup_parent": "/a/../b"}, "cgroup_parent: '/a/../b' is not a path"),
        ({"cgroup_parent": ""}, "cgroup_parent: '' is not a path"),
    ],
)
def test_bad_values(given: dict[str, Any], words: str) -> None:
    """No value can become another argument of the engine."""
    with fails("invalid_option", words):
        spec(**given)


def test_all_problems_are_told_together() -> None:
    """Also next to those of the other options."""
    with fails("invalid_option", "3 problems", "dns: ", "shm_size: ", "memory: "):
        spec(dns=["x"], shm_size="y", memory="z")


def test_each_row_is_an_argument_of_the_module() -> None:
    """A row needs no second place in the code."""
    assert all(NODE[option.name] == dict(option.argument) for option in PASSED_ON)
