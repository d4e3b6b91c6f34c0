# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup node_image_plan: what the role kic_image would build, asked on the controller without a task's costs."""

from __future__ import annotations

DOCUMENTATION = r"""
name: node_image_plan
short_description: What the role kic_image would build on the controller
version_added: 0.1.0
description:
  - Asks the program that builds node images for its plan. It changes nothing.
  - It is a lookup, because a module would cost ten times what the question does, at each run of a play.
options:
  _terms:
    description: The program and its options, as a list of words.
    type: list
    elements: str
    required: true
author:
  - nodeforge.kic contributors (@nodeforge)
"""

EXAMPLES = r"""
- name: Show which image the recipe in files/ makes
  ansible.builtin.debug:
    msg: "{{ lookup('nodeforge.kic.node_image_plan', ansible_playbook_python, 'files/node_image', '--recipe=files') }}"
"""

RETURN = r"""
_raw:
  description:
    - C(reference), the image's name, empty where it cannot be built; C(kubernetes_version); C(archive), its file;
      C(missing), the steps still to do; C(takes), how long each program that is to be compiled takes on this machine, such
      as V(about 4 min); C(problems), what keeps them from being done.
  type: list
  elements: dict
"""

import json
import shlex
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandNotFound, Runner, SubprocessRunner
from ansible_collections.nodeforge.kic.plugins.module_utils._faults import as_failure

SECONDS = 120.0
"""It reads some files and asks Go for its version: less than a second."""


class LookupModule(LookupBase):
    """Runs ``PROGRAM … plan``."""

    runner: Runner = SubprocessRunner()

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        """The plan. Raises AnsibleError with the program's words."""
        command = [str(term) for term in terms] + ["plan"]
        try:
            done = self.runner.run(command, timeout=SECONDS)
        except CommandNotFound as error:
            raise AnsibleError(f"The builder of node images cannot be run: {error} was not found.") from error
        except Exception as error:
            raise AnsibleError(f"The builder of node images cannot be run. {as_failure(error)}") from error
        if done.timed_out:
            raise AnsibleError(
                f"The builder of node images did not answer within {SECONDS:g} seconds. Fix: see whether the disk of its"
                f" cache answers, and what this takes: {shlex.join(command)}\n{done.words}"
            )
        if done.rc != 0:
            raise AnsibleError(f"The builder of node images failed: {done.words}")
        try:
            return [json.loads(done.out)]
        except ValueError as error:
            raise AnsibleError(f"The builder of node images gave no plan: {done.words or error}") from error
