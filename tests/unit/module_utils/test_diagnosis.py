# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalogue of causes, and the exception that carries one."""

from __future__ import annotations

import ast
import re
import string
from pathlib import Path

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core import diagnosis
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import (
    CATALOGUE,
    Diagnosis,
    KicError,
    failure,
)

SOURCES = Path(diagnosis.__file__).parent.parent


def fields(condition: str) -> dict[str, bool]:
    """The fields that an entry's templates name, and whether they are formatted as a number."""
    entry = CATALOGUE[condition]
    found: dict[str, bool] = {}
    for template in (entry.cause, entry.fix):
        for _text, name, spec, _conversion in string.Formatter().parse(template):
            if name is not None:
                found[name] = found.get(name, False) or bool(spec)
    return found


@pytest.mark.parametrize("condition", CATALOGUE)
def test_entry(condition: str) -> None:
    """Each entry can be filled; its cause is a sentence, its fix says what to do, and no brace is left over."""
    values = {name: 1.5 if is_number else f"<{name}>" for name, is_number in fields(condition).items()}
    error = failure(condition, output="", **values)
    found = error.diagnosis
    assert found.id == condition
    assert found.cause.endswith(".")
    assert found.fix
    assert str(error) == f"{found.cause} Fix: {found.fix}"
    for name, is_number in fields(condition).items():
        assert ("1.5" if is_number else f"<{name}>") in str(error)
    assert re.fullmatch(r"[a-z0-9_]+", condition)


def calls() -> list[tuple[str, str, set[str], bool]]:
    """Every call of failure() with an id in the code: its place, id, keywords, and whether there are more (**)."""
    found = []
    for path in sorted(SOURCES.rglob("*.py")):
        for item in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(item, ast.Call) and isinstance(item.func, ast.Name) and item.func.id == "failure"):
                continue
            first = item.args[0]
            if isinstance(first, ast.Constant):
                names = {keyword.arg for keyword in item.keywords if keyword.arg is not None}
                more = any(keyword.arg is None for keyword in item.keywords)
                found.append((f"{path.relative_to(SOURCES)}:{item.lineno}", str(first.value), names, more))
    return found


def test_calls() -> None:
    """Each place that raises an entry gives all fields that the entry names."""
    found = calls()
    assert {place.partition("/")[0] for place, *_rest in found} >= {
        "_cluster",
        "_engine",
        "_host",
        "_kubernetes",
        "_resources",
    }
    unknown = [(place, condition) for place, condition, *_rest in found if condition not in CATALOGUE]
    missing = [
        (place, condition, sorted(fields(condition).keys() - given))
        for place, condition, given, more in found
        if condition in CATALOGUE and not more and fields(condition).keys() - given
    ]
    assert (unknown, missing) == ([], [])


def test_message() -> None:
    """The message is the cause, the fix and below them the program's own words."""
    assert str(KicError(Diagnosis("x", "It broke.", "repair it", "words"))) == "It broke. Fix: repair it\nwords"
    assert str(KicError(Diagnosis("x", "It broke.", ""))) == "It broke."


def test_documented_keys() -> None:
    """What a failed task returns has four keys."""
    error = failure("engine_is_another", engine="docker", other="podman", why="it is one", more="", output=" words\n")
    assert error.diagnosis.as_dict() == {
        "id": "engine_is_another",
        "cause": "The program docker of this machine leads to podman: it is one.",
        "fix": "set engine: podman, or leave it at auto",
        "output": "words",
    }


def test_unknown_id() -> None:
    """An id that the catalogue does not hold is a defect of ours and shown as one."""
    with pytest.raises(KeyError, match="no_such_entry"):
        failure("no_such_entry")


def test_missing_field() -> None:
    """So is a field that was forgotten."""
    with pytest.raises(KeyError, match="engine"):
        failure("engine_not_installed")


def test_values_are_not_templates() -> None:
    """Braces in a user's value stay as they are."""
    assert "{engine}" in str(failure("engine_not_installed", engine="{engine}", package="x"))
