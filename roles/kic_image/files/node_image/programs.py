# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiles one program set with the Go toolchain that the controller's Python environment carries."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from recipe import Recipe

ENVIRONMENT = {
    # One toolchain, ours: no other is downloaded, whatever a go.mod asks for.
    "GOTOOLCHAIN": "local",
    # go.mod and go.sum are what was reviewed; a build changes neither.
    "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
    "GOWORK": "off",
    # Static programs, which run in an image of nothing else.
    "CGO_ENABLED": "0",
}

COMPILER = "-gcflags=all=-dwarf=false"
"""The linker drops what debuggers read (-s -w), so the compiler need not make it: an eighth of its processor time."""


def compile_program(recipe: Recipe, program: str, go: str, cache: Path, work: Path) -> None:
    """Leaves the executable `program` in work, and what Go fetched and compiled on the way in cache.

    Raises CalledProcessError; Go's own words are on stderr.
    """
    modules = recipe.modules(program)
    folders = {"GOPATH": cache / "path", "GOMODCACHE": cache / "mod", "GOCACHE": cache / "build"}
    subprocess.run(
        [
            go,
            "build",
            *([f"-modfile={modules}"] if modules is not None else []),
            COMPILER,
            "-ldflags",
            recipe.linker_flags(program),
            "-o",
            str(work / "program"),
            recipe.values["programs"][program]["package"],
        ],
        cwd=recipe.go_directory / program,
        env={**os.environ, **ENVIRONMENT, **{k: str(v) for k, v in folders.items()}, "GOARCH": recipe.architecture},
        check=True,
    )
