# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What YAML and Ansible make of values, as plain types."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.plugin_utils.plain import plain


class Text(str):
    """A string that knows where it is from."""


class Encrypted:
    """Text of a vault, whose class is not that of a string."""

    def __str__(self) -> str:
        return "secret"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({Text("a"): [Text("b")]}, {"a": ["b"]}, id="strings"),
        pytest.param({"release": date(2026, 11, 30)}, {"release": "2026-11-30"}, id="date"),
        pytest.param({date(2026, 11, 30): 1}, {"2026-11-30": 1}, id="date-as-key"),
        pytest.param({"token": Encrypted()}, {"token": "secret"}, id="encrypted"),
        pytest.param({2: 1.5, True: None, None: False}, {"2": 1.5, "true": None, "null": False}, id="keys-of-json"),
        pytest.param((1, {2}), [1, [2]], id="lists"),
    ],
)
def test_plain(value: Any, expected: Any) -> None:
    """Each value is of a type that JSON has, and a date is the text that was written."""
    found = plain(value, "kic_cluster_node")
    assert found == expected
    assert type(found) in (dict, list)
    assert json.loads(json.dumps(found)) == expected


@pytest.mark.parametrize(("value", "what"), [(datetime(2026, 11, 30, 10), "a time"), (b"x", "binary data")])
def test_lost_text(value: Any, what: str) -> None:
    """Of a time the text that was written is not known any more, so it is refused where it stands."""
    with pytest.raises(KicError) as caught:
        plain({"env": {"A": ["x", value]}}, "kic_cluster_node")
    found = caught.value.diagnosis
    assert found.id == "invalid_option"
    assert found.cause == f"kic_cluster_node.env.A[1]: YAML reads it as {what}, not as text."
    assert found.fix == "put it in quotes"
