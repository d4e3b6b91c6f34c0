# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read of a container as its engine reports it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .support import DOCKER, PODMAN, RECORDED, container, recorded

NOON = 1796040000
"""2026-11-30, twelve o'clock in UTC."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-30T12:00:00Z", NOON),
        ("2026-11-30T12:00:00.9Z", NOON),
        ("2026-11-30T12:00:00.123456789Z", NOON),
        ("2026-11-30T14:00:00.123456789+02:00", NOON),
        ("2026-11-30T06:30:00-05:30", NOON),
        ("2026-11-30T12:00:00+00:00", NOON),
        ("1970-01-01T00:00:10Z", 10),
        ("0001-01-01T00:00:00Z", 0),
        ("0001-01-01T00:00:00+01:00", 0),
        ("0001-01-01T00:00:00-11:00", 0),
        ("", 0),
        ("x", 0),
        ("2026-11-30", 0),
        ("2026-11-30 12:00:00Z", 0),
        ("2026-11-30T12:00:00", 0),
        ("2026-11-30T12:00:00.Z", 0),
        ("2026-11-30T12:00:00Zx", 0),
        ("2026-13-30T12:00:00Z", 0),
        ("2026-11-30T25:00:00Z", 0),
        ("2026-11-30T12:00:00+99:00", 0),
        (1796040000, 0),
        (None, 0),
    ],
)
def test_when_it_was_started(text: Any, expected: float) -> None:
    """docker writes nanoseconds, podman the zone of the machine; what is no time says nothing."""
    assert container(raw={"State": {"StartedAt": text}}).started == expected


@pytest.mark.parametrize("raw", [{}, {"State": None}, {"State": {}}, {"State": {"Status": "running"}}])
def test_where_the_engine_does_not_say_it(raw: dict[str, Any]) -> None:
    """An engine of another release."""
    assert container(raw=raw).started == 0


@pytest.mark.parametrize("engine", [PODMAN, RECORDED / "podman-5.4.2", DOCKER], ids=lambda engine: engine.name)
def test_what_engines_report(engine: Path) -> None:
    """One that runs, and one that never did."""
    for name, started in (("running", True), ("created", False)):
        (raw,) = recorded(f"container-inspect-{name}.json", engine)
        assert (container(raw=raw).started > 1.7e9) is started, name
