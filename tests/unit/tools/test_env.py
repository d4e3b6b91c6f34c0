# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""tools/env: which Python the environments are made with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ENV = Path(__file__).resolve().parents[3] / "tools" / "env"
SYSTEM = Path("/usr/bin/python3")
FITS = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"


def base(monkeypatch: pytest.MonkeyPatch, name: str | None, path: str) -> str:
    """The interpreter behind the environment of the tests, with ``PYTHON`` and ``PATH`` as given."""
    monkeypatch.setenv("PATH", path)
    monkeypatch.delenv("PYTHON", raising=False)
    if name is not None:
        monkeypatch.setenv("PYTHON", name)
    program = "import os, sys; print(os.path.realpath(sys._base_executable))"
    done = subprocess.run(
        [ENV, "test", "python", "-c", program], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )
    return done.stdout.strip()


def test_the_systems_python_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is taken before another in PATH, and one that was named before both."""
    fits = SYSTEM.exists() and subprocess.run([SYSTEM, "-c", FITS], check=False, capture_output=True).returncode == 0
    if not fits:
        pytest.skip("this machine's own Python is older than 3.11, or makes no environments")
    other = tmp_path / "python3"
    other.write_text("#!/bin/sh\nexit 1\n")
    other.chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    assert base(monkeypatch, None, path) == os.path.realpath(SYSTEM)
    named = os.path.realpath(sys._base_executable)  # type: ignore[attr-defined]
    assert base(monkeypatch, named, path) == named
