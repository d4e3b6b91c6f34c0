# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for each task of the roles, read from their files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"
FILES = sorted(ROLES.glob("*/tasks/*.yml"))
BLOCKS = ("block", "rescue", "always")


def tasks(found: list[dict[str, Any]], part: str = "") -> Iterator[tuple[dict[str, Any], str]]:
    """Each task, with the innermost part of a block in which it is."""
    for task in found:
        inner = [name for name in BLOCKS if name in task]
        for name in inner:
            yield from tasks(task[name], name)
        if not inner:
            yield task, part


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_whoever_is_become_is_named(path: Path) -> None:
    """A play that becomes an ordinary user hands that on to each task: one that means root has to say so."""
    for task, _part in tasks(yaml.safe_load(path.read_text(encoding="utf-8"))):
        assert task.get("become") in (None, False) or task.get("become_user"), task["name"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_a_clean_up_hides_no_failure(path: Path) -> None:
    """What is done in any case fails only where all before it went well: the first error is the one that is reported."""
    for task, part in tasks(yaml.safe_load(path.read_text(encoding="utf-8"))):
        assert part != "always" or "is success" in str(task.get("failed_when")), task["name"]
