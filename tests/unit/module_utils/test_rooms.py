# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Imports between the rooms of module_utils go one way, and only the engines' room knows engines by name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import BY_PRIORITY

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
UTILS = PLUGINS / "module_utils"

BELOW_STATE = {"_core", "_command", "_host"}
BELOW_NODE = {*BELOW_STATE, "_engine"}
BELOW_KUBERNETES = {*BELOW_NODE, "_state", "_node"}
BELOW_CLUSTER = {*BELOW_KUBERNETES, "_kubernetes", "_resources"}
MAY_USE: dict[str, set[str]] = {
    "_core": set(),
    "_command": set(),
    "_host": {"_core", "_command"},
    "_state": BELOW_STATE,
    "_engine": BELOW_STATE,
    "_node": BELOW_NODE,
    "_resources": BELOW_KUBERNETES,
    "_kubernetes": BELOW_KUBERNETES,
    "_cluster": BELOW_CLUSTER,
    "_faults": {"_core", "_command", "_host"},
    "_module": {"_core", "_command", "_state", "_faults"},
    "_engine_module": {*BELOW_CLUSTER, "_module"},
}
"""What each room may use of the others, by the table of CONTRIBUTING.md."""

PATHS = sorted(UTILS.rglob("*.py"))

pytestmark = pytest.mark.one_python("it reads the sources")


def module_of(path: Path) -> tuple[str, ...]:
    """A file as parts of a module's name below module_utils; a package is named by its folder."""
    parts = path.relative_to(UTILS).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


MODULES = {module_of(path) for path in PATHS}


def imports(path: Path) -> Iterator[tuple[str, ...]]:
    """The modules of ours that a file imports, wherever in it: also in functions, and only for types."""
    here = path.relative_to(UTILS).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = (*here[: len(here) - node.level + 1], *(node.module or "").split("."))
            base = tuple(part for part in base if part)
            for name in node.names:
                whole = (*base, name.name)
                yield whole if whole in MODULES else base


@pytest.mark.parametrize("path", PATHS, ids=[".".join(module_of(path)) for path in PATHS])
def test_imports_go_down(path: Path) -> None:
    """A room uses only what is below it."""
    room = module_of(path)[:1]
    if not room:
        return
    used = {found[0] for found in imports(path)} - {room[0]}
    assert used <= MAY_USE[room[0]]


def test_no_circle() -> None:
    """No file imports, by whichever way, what imports it."""
    graph = {module_of(path): {*imports(path)} - {module_of(path)} for path in PATHS}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(".".join(item) for item in error.args[1]))


def decisions(tree: ast.AST) -> Iterator[ast.AST]:
    """What may decide by a value: comparisons, keys of a table, an index. Python 3.9 has no match."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            for side in (node.left, *node.comparators):
                yield from side.elts if isinstance(side, (ast.Tuple, ast.List, ast.Set)) else (side,)
        elif isinstance(node, ast.Dict):
            yield from (key for key in node.keys if key is not None)
        elif isinstance(node, ast.Subscript):
            yield node.slice


OUTSIDE = [path for path in sorted(PLUGINS.rglob("*.py")) if "_engine" not in path.parts]


@pytest.mark.parametrize("path", OUTSIDE, ids=[str(path.relative_to(PLUGINS)) for path in OUTSIDE])
def test_only_engines_know_names(path: Path) -> None:
    """Nothing else decides by the name of an engine; what differs is a capability (_core/capabilities.py)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = [
        f"line {node.lineno}"
        for node in decisions(tree)
        if isinstance(node, ast.Constant) and node.value in BY_PRIORITY
    ]
    assert not named


@pytest.mark.parametrize(
    "text",
    [
        "engine.name == 'podman'",
        "'docker' != name",
        "name in ('podman', 'other')",
        "{'docker': 1}[name]",
        "TABLE['podman']",
    ],
)
def test_decisions_are_seen(text: str) -> None:
    """The ways to decide by a name."""
    found = [node.value for node in decisions(ast.parse(text)) if isinstance(node, ast.Constant)]
    assert {*found} & {*BY_PRIORITY}


SHELLS = {"bash", "sh"}
OF_A_SHELL = {("_node", "scripts"), ("_host", "delegation")}
"""Where a shell is started: with the scripts of files, and once in a scope of systemd whose limits only it can read."""


@pytest.mark.parametrize("path", PATHS, ids=[".".join(module_of(path)) for path in PATHS])
def test_no_script_is_text_of_python(path: Path) -> None:
    """What runs in nodes is a file that shellcheck reads."""
    shells = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.List)
        and any(isinstance(item, ast.Constant) and item.value in SHELLS for item in node.elts)
    ]
    assert not shells or module_of(path) in OF_A_SHELL
