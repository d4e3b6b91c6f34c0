# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values that may be secrets: how they reach a client, and what is shown of them."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._engine import secrecy
from ansible_collections.nodeforge.kic.plugins.modules import kic_node, oci_volume

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


def run(module: Any, parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], list[str]]:
    """Run a module that fails for want of an engine: its result and what it logged."""
    from ansible.module_utils import basic

    logged: list[str] = []
    monkeypatch.setattr(
        basic.AnsibleModule, "log", lambda _self, text, log_args=None: logged.append(f"{text}{log_args}")
    )
    monkeypatch.setenv("PATH", "/nonexistent")
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    arguments = {"ANSIBLE_MODULE_ARGS": parameters}
    try:
        from ansible.module_utils.testing import patch_module_args
    except ImportError:  # ansible-core 2.18
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps(arguments).encode())
        with pytest.raises(SystemExit):
            module.main()
    else:
        with patch_module_args(parameters), pytest.raises(SystemExit):
            module.main()
    result: dict[str, Any] = json.loads(out.getvalue())
    return result, logged


@pytest.mark.parametrize(
    ("module", "parameters"),
    [
        (kic_node, {"name": "n1", "image": "n1", "env": {"A": "S3CRET", "B": "n1"}}),
        (kic_node, {"name": "n1", "files": [{"path": "/n1", "content": "S3CRET\nn1\n"}], "env": {"B": "podman"}}),
        (oci_volume, {"name": "n1", "options": {"o": "password=S3CRET", "device": "podman"}}),
    ],
    ids=["env", "files", "options"],
)
def test_modules_log_no_values(module: Any, parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the log nor the invocation that -vvv shows holds them, and nothing else is censored for their sake."""
    result, logged = run(module, dict(parameters, engine="podman"), monkeypatch)
    assert logged and "S3CRET" not in "".join(logged)
    text = json.dumps(result)
    assert "S3CRET" not in text and "podman" in result["msg"] and "********" not in text
    assert result["invocation"]["module_args"]["name"] == "n1"
