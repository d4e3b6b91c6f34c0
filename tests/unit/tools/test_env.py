# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""tools/env: which Python the environments are made with."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ENV = Path(__file__).resolve().parents[3] / "tools" / "env"
SYSTEM = Path("/usr/bin/python3")
FITS = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"


def started(monkeypatch: pytest.MonkeyPatch, name: str | None, path: str) -> subprocess.CompletedProcess[str]:
    """What prints the interpreter behind the environment of the tests, with ``PYTHON`` and ``PATH`` as given."""
    monkeypatch.setenv("PATH", path)
    monkeypatch.delenv("PYTHON", raising=False)
    if name is not None:
        monkeypatch.setenv("PYTHON", name)
    program = "import os, sys; print(os.path.realpath(sys._base_executable))"
    return subprocess.run(
        [ENV, "test", "python", "-c", program], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def test_the_systems_python_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is taken before another in PATH; one that was named is taken alone, and told where it is of no use."""
    fits = SYSTEM.exists() and subprocess.run([SYSTEM, "-c", FITS], check=False, capture_output=True).returncode == 0
    if not fits:
        pytest.skip("this machine's own Python is older than 3.11, or makes no environments")
    other = tmp_path / "python3"
    other.write_text("#!/bin/sh\nexit 1\n")
    other.chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    done = started(monkeypatch, None, path)
    assert done.stdout.strip() == os.path.realpath(SYSTEM), done.stderr
    named = started(monkeypatch, str(other), path)
    assert named.returncode == 1 and f"no usable {other}" in named.stderr and "apt-get install" in named.stderr
