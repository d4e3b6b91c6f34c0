# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The callback that says what a play waits for, in a real play."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import ROOT

CALLBACK = "nodeforge.kic.progress"
COMMAND = ("ansible-playbook", "-i", "hosts.yml", "play.yml")
PLAY = [
    {
        "name": "Waits",
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {"name": "Short", "ansible.builtin.set_fact": {"one": 1}},
            {"name": "Not for it", "ansible.builtin.command": "sleep 60", "when": False},
            {"name": "Long", "ansible.builtin.command": "sleep {{ long }}", "changed_when": False},
            {"name": "Fails", "ansible.builtin.fail": {"msg": "so it should"}, "ignore_errors": True},
        ],
    }
]


def played(environment: dict[str, str], folder: Path, *hosts: str, **process: Any) -> subprocess.CompletedProcess[str]:
    """A play in which one task takes long on the last host; ``process`` says where its outputs go."""
    (folder / "play.yml").write_text(yaml.safe_dump(PLAY))
    common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    known = {name: {**common, "long": 5 if name == hosts[-1] else 0} for name in hosts}
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": known}}))
    waits = {"NODEFORGE_KIC_PROGRESS_AFTER": "2", "NODEFORGE_KIC_PROGRESS_EVERY": "1"}
    outputs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **process}
    # The Ansible community's package, which has stdout callbacks that write a document. Unbuffered, for the lines' order.
    done = subprocess.run(
        [str(ROOT / "tools" / "env"), "collections", "env", "-C", str(folder), *COMMAND],
        env={**environment, "ANSIBLE_CALLBACKS_ENABLED": CALLBACK, **waits, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        **outputs,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert CALLBACK not in (done.stderr or done.stdout), done
    return done


def reported(text: str) -> list[str]:
    """The lines of the callback."""
    return [line for line in text.splitlines() if line.startswith("... ")]


def test_a_long_task_is_named_while_it_runs(environment: dict[str, str], tmp_path: Path) -> None:
    """And again after a while; what is short, skipped or over is not."""
    lines = played(environment, tmp_path, "localhost", stderr=subprocess.STDOUT).stdout.splitlines()
    said = reported("\n".join(lines))
    assert len(said) > 1, lines
    assert {re.sub(r"\d+", "N", line) for line in said} == {"... N s: Long"}
    # Before the task is over, which is when the default callback names it.
    header = next(number for number, line in enumerate(lines) if line.startswith("TASK [Long]"))
    assert lines.index(said[1]) < header


@pytest.mark.full("a play; one host that is waited for is in the quick set")
def test_hosts_that_are_waited_for(environment: dict[str, str], tmp_path: Path) -> None:
    """Of several hosts those are named that are not through, and not on standard output: a wait is not a result."""
    done = played(environment, tmp_path, "quick", "slow")
    said = reported(done.stderr)
    assert not reported(done.stdout), done.stdout
    assert said and said[-1].endswith(" s: Long (slow)"), said


FULL = pytest.mark.full("a play each; one document is quick")


@pytest.mark.parametrize(
    ("stdout_callback", "outputs"),
    [
        pytest.param("ansible.posix.json", {}, id="json"),
        pytest.param("ansible.posix.jsonl", {}, id="jsonl", marks=FULL),
        pytest.param("ansible.posix.json", {"stderr": subprocess.STDOUT}, id="json, one pipe", marks=FULL),
    ],
)
def test_a_document_stays_readable(
    environment: dict[str, str], tmp_path: Path, stdout_callback: str, outputs: dict[str, Any]
) -> None:
    """Standard output holds what a structured stdout callback writes and no more, and the wait is still reported.

    Where both outputs are one pipe there is no place left for it.
    """
    done = played({**environment, "ANSIBLE_STDOUT_CALLBACK": stdout_callback}, tmp_path, "localhost", **outputs)
    documents = done.stdout.splitlines() if stdout_callback.endswith("jsonl") else [done.stdout]
    assert all(json.loads(document) for document in documents)
    assert outputs or reported(done.stderr)


def test_site_has_it() -> None:
    """Who types make site is told."""
    configuration = configparser.ConfigParser()
    configuration.read(ROOT / "ansible.cfg")
    assert CALLBACK in configuration["defaults"]["callbacks_enabled"].split(",")
