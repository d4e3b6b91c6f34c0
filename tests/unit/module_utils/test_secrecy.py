# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values that may be secrets: how they reach a client, and what is shown of them."""

from __future__ import annotations

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._engine import secrecy

from .support import fails


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "HOME",
        "LD_PRELOAD",
        "DOCKER_HOST",
        "DOCKER_AUTH_CONFIG",
        "CONTAINER_HOST",
        "CONTAINERS_CONF",
        "TMPDIR",
        "XDG_RUNTIME_DIR",
        "GODEBUG",
        "_CONTAINERS_USERNS_CONFIGURED",
        "STORAGE_DRIVER",
        "NOTIFY_SOCKET",
        "LC_ALL",
    ],
)
def test_obeyed(name: str) -> None:
    """What the client itself would obey is not put into its environment, and is no argument either."""
    found = secrecy.hand_over({name: "S3CRET", "TOKEN": "S3CRET"})
    assert found.arguments == ("--env-file", "/dev/stdin", "--env", "TOKEN")
    assert (dict(found.environment), found.stdin) == ({"TOKEN": "S3CRET"}, f"{name}=S3CRET\n".encode())
    assert "S3CRET" not in repr(found)


def test_plain() -> None:
    """Without such names nothing is on standard input; an empty value stays one."""
    found = secrecy.hand_over({"B": "", "A": "1"})
    assert found.arguments == ("--env", "A", "--env", "B")
    assert (dict(found.environment), found.stdin) == ({"A": "1", "B": ""}, None)


@pytest.mark.parametrize("value", ["a\rb", "x" * 70_000])
def test_unfit(value: str) -> None:
    """A line that the client's reader would not take as it is is refused, without the value."""
    with fails("invalid_option", "the value of PATH has more than one line"):
        secrecy.hand_over({"PATH": value})


@pytest.mark.parametrize(
    ("options", "shown", "masked"),
    [
        ({}, True, {}),
        ({"type": "tmpfs", "device": "tmpfs", "o": "size=1g,uid=5,noexec"}, True, None),
        ({"type": "nfs", "device": ":/x", "o": "addr=10.0.0.1,rw,nfsvers=4"}, True, None),
        ({"type": "cifs", "device": "//n/x", "o": "username=a,credentials=/root/x"}, False, None),
        ({"o": "username=a,password=S3,vers=3.0"}, False, {"o": "username=a,password=********,vers=3.0"}),
        ({"o": "PASSWD=S3"}, False, {"o": "PASSWD=********"}),
        ({"device": "https://a:S3@dav.example/x"}, False, {"device": "https://a:********@dav.example/x"}),
        ({"o": "keyfile=/root/k,key=S3"}, False, {"o": "keyfile=/root/k,key=********"}),
        ({"token": "S3"}, False, {"token": "********"}),
        ({"o": "S3"}, False, None),
    ],
)
def test_options(options: dict[str, str], shown: bool, masked: dict[str, str] | None) -> None:
    """Arguments hold only what is known to be none; results keep what says where something is."""
    assert secrecy.may_be_shown(options) is shown
    assert secrecy.masked_options(options) == (options if masked is None else masked)
