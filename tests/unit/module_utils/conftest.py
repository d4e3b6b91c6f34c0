# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps the tests of module_utils away from the records of the machine that they run on."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def state_directory(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory of the test's own, which is also that of code that asks for the user's."""
    # Imported late: when pytest loads this file, its plugin has not yet made the collection importable.
    from ansible_collections.nodeforge.kic.plugins.module_utils._state import lock, record

    # Not made here: whether there is one is what some tests are about.
    path = tmp_path_factory.getbasetemp() / "state"
    monkeypatch.setattr(lock, "state_directory", lambda: str(path))
    monkeypatch.setattr(record, "state_directory", lambda: str(path))
    return path


@pytest.fixture(autouse=True)
def with_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers of the tests have no process on this machine; test_boot.py is about those that have lost theirs."""
    from ansible_collections.nodeforge.kic.plugins.module_utils._resources import node, node_run

    for module in (node, node_run):
        monkeypatch.setattr(module, "lost", lambda *_given: False)


@pytest.fixture(autouse=True)
def same_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take recorded answers of docker for those of a daemon of this machine; test_elsewhere.py is about the others."""
    from ansible_collections.nodeforge.kic.plugins.module_utils._engine.docker import Docker

    monkeypatch.setattr(Docker, "_refuse_elsewhere", lambda *_given: None)
