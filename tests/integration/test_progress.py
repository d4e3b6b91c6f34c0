# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The callback that says what a play waits for, in a real play."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

import yaml

from .conftest import ROOT

CALLBACK = "nodeforge.kic.progress"
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


def played(environment: dict[str, str], folder: Path, *hosts: str) -> str:
    """What a person sees of a play in which one task takes long on the last host."""
    (folder / "play.yml").write_text(yaml.safe_dump(PLAY))
    common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    known = {name: {**common, "long": 5 if name == hosts[-1] else 0} for name in hosts}
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": known}}))
    waits = {"NODEFORGE_KIC_PROGRESS_AFTER": "2", "NODEFORGE_KIC_PROGRESS_EVERY": "1"}
    done = subprocess.run(
        ["ansible-playbook", "-i", "hosts.yml", "play.yml"],
        cwd=folder,
        env={**environment, **waits, "ANSIBLE_CALLBACKS_ENABLED": CALLBACK},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert CALLBACK not in done.stderr, done.stderr
    return done.stdout


def test_a_long_task_is_named_while_it_runs(environment: dict[str, str], tmp_path: Path) -> None:
    """And again after a while; what is short, skipped or over is not."""
    lines = played(environment, tmp_path, "localhost").splitlines()
    said = [line for line in lines if line.startswith("... ")]
    assert len(said) > 1, lines
    assert {re.sub(r"\d+", "N", line) for line in said} == {"... N s: Long"}
    # Before the task is over, which is when the default callback names it.
    header = next(number for number, line in enumerate(lines) if line.startswith("TASK [Long]"))
    assert lines.index(said[1]) < header


def test_hosts_that_are_waited_for(environment: dict[str, str], tmp_path: Path) -> None:
    """Of several hosts those are named that are not through."""
    said = [line for line in played(environment, tmp_path, "quick", "slow").splitlines() if line.startswith("... ")]
    assert said and said[-1].endswith(" s: Long (slow)"), said


def test_site_has_it() -> None:
    """Who types make site is told."""
    configuration = configparser.ConfigParser()
    configuration.read(ROOT / "ansible.cfg")
    assert CALLBACK in configuration["defaults"]["callbacks_enabled"].split(",")
