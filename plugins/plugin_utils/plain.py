# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible hands to a task as plain types: its strings know where they are from, some are encrypted, and YAML makes dates of
what looks like one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from ansible_collections.nodeforge.kic.plugins.module_utils._core import checks


def plain(value: Any, option: str = "") -> Any:
    """``value`` with its parts as text, numbers, lists and mappings. Raises ``invalid_option`` where the text that the user wrote
    is lost.

    :param option: where the value is from, as the user named it.
    """
    if isinstance(value, Mapping):
        return {_key(key): plain(item, f"{option}.{key}" if option else str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item, f"{option}[{at}]") for at, item in enumerate(value)]
    if isinstance(value, (datetime, bytes)):
        what = "binary data" if isinstance(value, bytes) else "a time"
        raise checks.invalid(option, f"YAML reads it as {what}, not as text", "put it in quotes")
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    # Also the text of what is encrypted, which is of a class of its own.
    return str(value)


def _key(key: Any) -> str:
    """A key as JSON writes it, which is how a module gets it."""
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return str(plain(key))
