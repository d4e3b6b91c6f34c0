# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Loads the image builder of the role kic_image as it is started: a program whose modules import each other by bare names."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

FILES = Path(__file__).resolve().parents[1] / "roles" / "kic_image" / "files"
NAMES = ("archive", "base", "cache", "faults", "programs", "recipe", "speed", "store")


def _load(directory: Path) -> dict[str, ModuleType]:
    specification = importlib.util.spec_from_file_location("kic_node_image", directory / "__main__.py")
    assert specification is not None
    assert specification.loader is not None
    main = importlib.util.module_from_spec(specification)
    # It puts its directory on sys.path itself.
    specification.loader.exec_module(main)
    return {"main": main, **{name: sys.modules[name] for name in NAMES}}


@contextmanager
def loaded() -> Iterator[Any]:
    """The builder's modules by name, and its start as ``main``. The names are free again afterwards."""
    path, modules = list(sys.path), {name: sys.modules.pop(name, None) for name in NAMES}
    try:
        yield SimpleNamespace(**_load(FILES / "node_image"))
    finally:
        sys.path[:] = path
        for name, module in modules.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
