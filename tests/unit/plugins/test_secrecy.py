# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules keep what may be secret out of the log and of the invocation."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.modules import kic_cluster, kic_kubeadm, kic_node, oci_volume


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


NODE = {"node": "n1", "cluster": "n1"}


@pytest.mark.parametrize(
    ("module", "parameters"),
    [
        (kic_node, {"name": "n1", "image": "n1", "env": {"A": "S3CRET", "B": "n1"}}),
        (kic_node, {"name": "n1", "files": [{"path": "/n1", "content": "S3CRET\nn1\n"}], "env": {"B": "podman"}}),
        (oci_volume, {"name": "n1", "options": {"o": "password=S3CRET", "device": "podman"}}),
        (kic_kubeadm, {**NODE, "manifests": [{"name": "n1", "content": "stringData: {a: S3CRET}"}]}),
        (kic_kubeadm, {**NODE, "configuration": {"InitConfiguration": {"bootstrapTokens": [{"token": "S3CRET"}]}}}),
        (kic_kubeadm, {**NODE, "patches": {"etcd.json": {"n1": "S3CRET"}}}),
        (
            kic_cluster,
            {"name": "n1", "configuration": {"InitConfiguration": {"bootstrapTokens": [{"token": "S3CRET"}]}}},
        ),
        (kic_cluster, {"name": "n1", "patches": {"etcd.json": {"n1": "S3CRET"}}}),
    ],
    ids=lambda value: value.__name__.rpartition(".")[2] if hasattr(value, "__name__") else [*value][-1],
)
def test_modules_log_no_values(module: Any, parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the log nor the invocation that -vvv shows holds them, and nothing else is censored for their sake."""
    result, logged = run(module, dict(parameters, engine="podman"), monkeypatch)
    assert logged and "S3CRET" not in "".join(logged)
    text = json.dumps(result)
    assert "S3CRET" not in text and "podman" in result["msg"] and "********" not in text
    assert "n1" in (result["invocation"]["module_args"].get(key) for key in ("name", "node"))
