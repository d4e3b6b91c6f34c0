# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for each task of the roles, read from their files."""

from __future__ import annotations

import re
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
def test_a_clean_up_hides_no_failure(path: Path) -> None:
    """What is done in any case fails only where all before it went well: the first error is the one that is reported."""
    for task, part in tasks(yaml.safe_load(path.read_text(encoding="utf-8"))):
        assert part != "always" or "is success" in str(task.get("failed_when")), task["name"]


def conditions(task: dict[str, Any]) -> Iterator[str]:
    """Each condition of a task."""
    for key in ("when", "until", "failed_when", "changed_when"):
        found = task.get(key, [])
        yield from map(str, found if isinstance(found, list) else [found])


def options(role: str, *types: str) -> list[str]:
    """The options of a role that are of these types."""
    specs = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    return [name for spec in specs.values() for name, it in spec["options"].items() if it.get("type", "str") in types]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_conditions_convert_what_they_are_given(path: Path) -> None:
    """Roles only check the types of their options: ``-e`` gives a text, and a name of digits is a number."""
    role = path.parts[-3]
    for task, _part in tasks(yaml.safe_load(path.read_text(encoding="utf-8"))):
        for condition in conditions(task):
            for name in options(role, "bool"):
                for after in re.findall(rf"\b{name}\b(?! is )(.*?)(?= and | or |$)", condition):
                    assert after.endswith("| bool"), f"{task['name']}: {condition}"
            for name in options(role, "int"):
                for after in re.findall(rf"\b{name}\b(?! is )(.*?)(?= and | or |$)", condition):
                    assert "| int" in after, f"{task['name']}: {condition}"
            for name in options(role, "str"):
                assert not re.search(rf"\b{name} \| length", condition), f"{task['name']}: {condition}"


def test_every_call_of_an_engine_ends() -> None:
    """Where a role calls an engine without a module of ours, which has limits of its own, the task has one."""
    every = (task for path in FILES for task, _part in tasks(yaml.safe_load(path.read_text(encoding="utf-8"))))
    calls = [task for task in every if "plain_environment" in str(task.get("environment", ""))]
    assert [task["name"] for task in calls if int(task.get("timeout", 0)) <= 0] == [] and len(calls) == 2


def test_no_diff_of_the_whole_cache() -> None:
    """Of a directory that goes, Ansible's diff lists each file below it, and the cache has some 100,000."""
    (task,) = [
        task
        for task, _part in tasks(yaml.safe_load((ROLES / "kic_image/tasks/absent.yml").read_text(encoding="utf-8")))
        if "ansible.builtin.file" in task
    ]
    assert task["ansible.builtin.file"]["path"] == "{{ kic_image_cache }}" and task["diff"] is False
