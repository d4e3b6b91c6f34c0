# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""cgroup_delegation on this machine, where it is one that has nothing to delegate."""

from __future__ import annotations

import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._host.delegation import cgroup_mode
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.delegation import DROP_IN


@pytest.fixture(scope="module")
def old_cgroups() -> str:
    """Which control groups this machine has, other than version 2 alone."""
    mode = cgroup_mode()
    if mode == "v2":
        pytest.skip("this machine has control groups of version 2; what is refused needs version 1 or hybrid ones")
    return mode


@pytest.mark.parametrize("check", [True, False], ids=["check", "run"])
def test_refused_without_version_2(run_module: Callable[..., dict[str, Any]], old_cgroups: str, check: bool) -> None:
    """Version 1 and hybrid: one answer with its reason, and nothing is written; there is nothing to take back either."""
    user = pwd.getpwuid(1).pw_name
    found = run_module("cgroup_delegation", check=check, user=user)
    assert found["failed"] is True and found["diagnosis"]["id"] == "cgroup_not_unified"
    assert {"v1": "of version 1", "hybrid": "hybrid"}[old_cgroups] in found["msg"] and "become: true" in found["msg"]
    assert found["delegation"]["cgroup_mode"] == old_cgroups and found["actions"] == []
    gone = run_module("cgroup_delegation", check=check, user=user, state="absent")
    assert (gone.get("failed"), gone["changed"]) == (None, False)
    assert not Path(DROP_IN).exists()


def test_unknown_user(run_module: Callable[..., dict[str, Any]]) -> None:
    """A user that the machine has not got is named as such, whatever its control groups are."""
    found = run_module("cgroup_delegation", user="kictest-nobody-here")
    assert found["diagnosis"]["id"] == "user_unknown" and "kictest-nobody-here" in found["msg"]
