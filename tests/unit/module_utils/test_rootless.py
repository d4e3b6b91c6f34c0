# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an ordinary user's engine needs of the machine before a node is made."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._host import delegation as host
from ansible_collections.nodeforge.kic.plugins.module_utils._host import preflight
from ansible_collections.nodeforge.kic.plugins.module_utils._host.preflight import refuse_unfit
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node import NodeResource
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_spec import NodeSpec
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import (
    MemoryEngine,
    engine_info,
    fails,
    node_params,
)
from ansible_collections.nodeforge.kic.tests.unit.module_utils.test_delegation import DROPPED, SOME, VENDOR, FakeHost

ROOTLESS = engine_info(rootless=True)


@pytest.fixture(autouse=True)
def _user_1000(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be the user whose groups the fake machine has; they have no name on this one, or any."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os.path, "isdir", lambda _path: True)
    monkeypatch.setattr(preflight, "sub_ids", lambda: 65536)
    monkeypatch.setattr(preflight, "unfit_mode", lambda _path: None)


def test_fit() -> None:
    """What Debian delegates is enough, and root is asked nothing."""
    fake = FakeHost()
    refuse_unfit(ROOTLESS, fake, fake.read)
    refuse_unfit(engine_info(rootless=False), fake, lambda _path: None)


@pytest.mark.parametrize(
    ("changed", "condition", "words"),
    [
        (
            {"delegates": SOME - {"cpu"}, "gives": dict.fromkeys(("-.slice", "user.slice"), SOME)},
            "controller_withheld",
            ("controller cpu", "user@1000.service withholds", VENDOR, "nodeforge.kic.cgroup_delegation -a user="),
        ),
        (
            {"gives": {"-.slice": SOME, "user.slice": SOME - {"memory"}, "user-1000.slice": SOME}},
            "controller_withheld",
            ("controller memory", "user.slice withholds", "not in effect"),
        ),
        (
            {
                "disables": {"user.slice": "pids"},
                "drop_ins": {"user.slice": [DROPPED]},
                "files": {DROPPED: "DisableControllers=pids"},
            },
            "controller_disabled_by_unit",
            ("pids", "user.slice", DROPPED),
        ),
        ({"kernel": SOME - {"pids"}}, "controller_not_built", ("pids",)),
        ({"active": "inactive"}, "manager_not_running", ("user@1000.service", "loginctl enable-linger")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused(changed: dict[str, Any], condition: str, words: tuple[str, ...]) -> None:
    """The refusal names the controller, the unit that withholds it and what to type."""
    fake = FakeHost(**changed)
    with fails(condition, *words):
        refuse_unfit(ROOTLESS, fake, fake.read)


@pytest.mark.parametrize("setting", ["user.max_user_namespaces", "kernel.unprivileged_userns_clone"])
def test_no_user_namespaces(setting: str) -> None:
    """A hardened kernel that gives no user namespaces is told before anything of them is tried."""
    fake = FakeHost()
    fake.files["/proc/sys/" + setting.replace(".", "/")] = "0\n"
    with fails("user_namespaces", f"{setting} is 0", f"sysctl {setting}"):
        refuse_unfit(ROOTLESS, fake, fake.read)


@pytest.mark.parametrize(("count", "condition"), [(0, "sub_ids_missing"), (65535, "sub_ids_missing"), (None, "")])
def test_ids(monkeypatch: pytest.MonkeyPatch, count: int | None, condition: str) -> None:
    """Too few subordinate ids are told; those of a name service are not counted."""
    fake = FakeHost()
    monkeypatch.setattr(preflight, "sub_ids", lambda: count)
    with fails(condition, str(count), "usermod") if condition else nullcontext():
        refuse_unfit(ROOTLESS, fake, fake.read)


def test_mapper(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newuidmap that may not map is named with its mode."""
    fake = FakeHost()
    monkeypatch.setattr(preflight, "unfit_mode", {"/usr/bin/newuidmap": None, "/usr/bin/newgidmap": 0o755}.get)
    with fails("id_mapper_unfit", "/usr/bin/newgidmap", "0755", "chmod u+s"):
        refuse_unfit(ROOTLESS, fake, fake.read)


@pytest.mark.parametrize(("files", "word"), [({}, "of version 1"), ({"unified/cgroup.controllers": ""}, "hybrid")])
def test_old_cgroups(files: dict[str, str], word: str) -> None:
    """Version 1 and hybrid are refused with their reason."""
    table = {f"{host.MOUNT}/{name}": text for name, text in files.items()}
    with fails("cgroup_not_unified", word, "rootless"):
        refuse_unfit(ROOTLESS, FakeHost(), table.get)


def test_no_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without systemd nobody delegates; the first process is named."""
    monkeypatch.setattr(os.path, "isdir", lambda _path: False)
    fake = FakeHost(files={"/proc/1/comm": "openrc-init\n"})
    with fails("no_systemd", "openrc-init"):
        refuse_unfit(ROOTLESS, fake, fake.read)


def test_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node is refused for it before its other needs are looked at, and removing one asks for nothing."""
    monkeypatch.setattr(host, "cgroup_mode", lambda _reader: "v1")
    engine = MemoryEngine(ROOTLESS)
    with fails("cgroup_not_unified"):
        NodeResource(NodeSpec.from_params(node_params(image="missing:1")), engine).survey(None)
    NodeResource(NodeSpec.from_params(node_params(state="absent")), engine).survey(None)
