# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values that may be secrets, while a module runs: no process of the machine shows them in its arguments."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import Client
from .dockerd import Daemon

Names = Callable[[str], str]
SECRET = "S3CRET-8d1f"


@contextmanager
def watched(folder: Path, program: str) -> Iterator[tuple[dict[str, str], set[str]]]:
    """PATH with a client that holds each call until all arguments on the machine were read, and what held the secret."""
    client = shutil.which(program)
    assert client is not None
    wrapper = folder / "bin" / program
    wrapper.parent.mkdir()
    wrapper.write_text(
        "#!/bin/sh\n"
        # The arguments of this call, and with them those of what started it, as another user would read them.
        f"cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' >>{folder}/seen\n"
        f'exec {client} "$@"\n'
    )
    wrapper.chmod(0o755)
    found: set[str] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            for entry in Path("/proc").iterdir():
                try:
                    text = (entry / "cmdline").read_bytes() if entry.name.isdecimal() else b""
                except OSError:
                    continue
                if SECRET.encode() in text:
                    found.add(text.replace(b"\0", b" ").decode())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield {"PATH": f"{wrapper.parent}:{os.environ['PATH']}"}, found
    finally:
        ended.set()
        thread.join()
        seen = (folder / "seen").read_text(errors="replace")
        found |= {line for line in seen.splitlines() if SECRET in line}
        assert f"{program}\n" in seen, "the wrapper was not called"


@contextmanager
def small_image(client: Client, folder: Path, name: str) -> Iterator[str]:
    """An image with one file: a container is created of it, not started."""
    path = folder / "small.tar"
    with tarfile.open(path, "w") as tar:
        item = tarfile.TarInfo("sbin/init")
        item.size, item.mode = 1, 0o755
        tar.addfile(item, io.BytesIO(b"x"))
    reference = f"localhost/{name}:1"
    client.run("import", str(path), reference)
    try:
        yield reference
    finally:
        client.run("rmi", "--force", reference)


@pytest.mark.parametrize("program", ["podman", "docker"])
def test_no_argument_shows_a_value(
    program: str, run_module: Callable[..., dict[str, object]], podman: Client, unique: Names, tmp_path: Path
) -> None:
    """Environment, also of names that the client would obey, content of files, and options of a volume."""
    if program == "podman":
        look(podman, run_module, unique("secret"), tmp_path)
        return
    with Daemon.running(tmp_path / "docker") as daemon:
        look(daemon.client, run_module, unique("secret"), tmp_path)


def look(client: Client, run_module: Callable[..., dict[str, object]], name: str, folder: Path) -> None:
    """Make a node and a volume on ``client``, and see what they got and what was shown."""
    engine = client.program
    env = {
        "PLAIN": SECRET,
        "EMPTY": "",
        "PATH": f"/bin:/{SECRET}",
        "DOCKER_HOST": SECRET,
        "QUOTED": f'"{SECRET}" \'#$x',
    }
    options = {"type": "tmpfs", "device": "tmpfs", "o": f"password={SECRET}"}
    process = {key: value for key, value in client.environment.items() if key.startswith(("DOCKER_", "CONTAINERS_"))}
    with small_image(client, folder, name) as image:
        try:
            with watched(folder, engine) as (path, shown):
                made = run_module(
                    "kic_node",
                    process_env={**process, **path},
                    engine=engine,
                    name=name,
                    image=image,
                    state="present",
                    volume="none",
                    command=["/sbin/init"],
                    env=env,
                    files=[{"path": "/etc/secret", "content": SECRET}],
                )
                volume = run_module(
                    "oci_volume", process_env={**process, **path}, engine=engine, name=f"{name}-v", options=options
                )
            for result in (made, volume):
                assert not result.get("failed"), result
                assert SECRET not in json.dumps(result)
            assert not shown
            inspected = json.loads(client.out("container", "inspect", name))[0]
            found = dict(item.partition("=")[::2] for item in inspected["Config"]["Env"])
            assert {key: found.get(key) for key in env} == env
            assert json.loads(client.out("volume", "inspect", f"{name}-v"))[0]["Options"] == options
        finally:
            client.run("rm", "--force", name, check=False)
            client.run("volume", "rm", f"{name}-v", check=False)
