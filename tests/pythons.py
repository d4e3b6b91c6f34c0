# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Other interpreters of this machine, by their versions."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

QUESTION = "import ensurepip, sys; print('.'.join(map(str, sys.version_info[:2])), sys.executable)"


class NoPythonError(Exception):
    """This machine has none of the versions."""

    def __init__(self, versions: tuple[str, ...]) -> None:
        first = versions[0]
        super().__init__(
            f"no Python {' or '.join(versions)} here; with uv: uv python install {first}, with pyenv: pyenv install {first}"
        )


@functools.cache
def python(*versions: str) -> Path:
    """Find an interpreter of the first version that is here. Raises NoPythonError."""
    for version in versions:
        for candidate in _candidates(version):
            # Asked, since a version manager's shim can be a dead end.
            said = _output(candidate, "-c", QUESTION).split()
            if said[:1] == [version]:
                return Path(said[1])
    raise NoPythonError(versions)


def _candidates(version: str) -> list[str]:
    found = [shutil.which(f"python{version}") or ""]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found += [str(path) for path in sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"), reverse=True)]
    if uv := shutil.which("uv"):
        found.append(_output(uv, "python", "find", "--offline", version).strip())
    return [candidate for candidate in found if candidate]


def _output(*argv: str) -> str:
    """What a command says; nothing when it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    return done.stdout if done.returncode == 0 else ""
