# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The image builder, and what it is tested with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ...builder import loaded

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def program() -> Iterator[Any]:
    """The builder's modules by name, and its start as ``main``."""
    with loaded() as program:
        yield program


@pytest.fixture
def roles(tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what an image is made from, which a test may change; the builder takes its own code from there too."""
    for role in ("kic_image", "kic_cluster"):
        source = ROOT / "roles" / role / "files"
        shutil.copytree(
            source, tmp_path / "roles" / role / "files", symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    monkeypatch.setattr(program.recipe, "HERE", tmp_path / "roles/kic_image/files/node_image")
    return tmp_path / "roles"


@pytest.fixture
def go(tmp_path: Path) -> str:
    """A program that answers as Go does: with its version, and with a file where one was to be built."""
    path = tmp_path / "go"
    path.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = version ]; then echo "go version go1.26.6 linux/amd64"; exit; fi\n'
        'while [ "$1" != -o ]; do shift; done\n'
        'echo "$3 $GOARCH $GOTOOLCHAIN" >"$2"\n'
        f'echo "$3" >>"{tmp_path}/built"\n'
        'if [ -e "broken" ]; then exit 1; fi\n'
    )
    path.chmod(0o755)
    return str(path)
