# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a filter's input, or with the filter, as a sentence with a fix instead of Python's own message."""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from typing import Any, Callable, TypeVar

from ansible.errors import AnsibleError, AnsibleFilterError
from jinja2 import TemplateError, Undefined

from ansible_collections.nodeforge.kic.plugins.module_utils._core.checks import invalid
from ansible_collections.nodeforge.kic.plugins.module_utils._faults import as_failure

Fields = Mapping[str, "type | tuple[type, ...]"]
T = TypeVar("T")


def diagnosed(name: str, *inputs: Fields) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Guard the filter ``name``, whose first arguments are mappings that have these fields.

    Whatever goes wrong is an AnsibleFilterError with cause and fix; what is undefined stays Ansible's to report.
    """

    def guard(function: Callable[..., T]) -> Callable[..., T]:
        @wraps(function)
        def guarded(*given: Any, **options: Any) -> T:
            try:
                for position, fields in enumerate(inputs):
                    _check(name, position, given[position] if position < len(given) else None, fields)
                return function(*given, **options)
            except (AnsibleError, TemplateError):
                raise
            except Exception as error:
                raise AnsibleFilterError(str(as_failure(error))) from error

        return guarded

    return guard


def _check(name: str, position: int, value: Any, fields: Fields) -> None:
    """Raise for a value that is not a mapping with the fields, each of its type."""
    if isinstance(value, Undefined):
        return  # its first use says which variable it is
    what = "input" if position == 0 else f"argument {position}"
    fix = f"see what it takes: ansible-doc -t filter nodeforge.kic.{name}"
    if not isinstance(value, Mapping):
        raise invalid(f"{what} of the filter {name}", f"it is of type {type(value).__name__}, not a mapping", fix)
    for field, kind in fields.items():
        if field not in value:
            raise invalid(f"{what} of the filter {name}", f"it has no field {field}", fix)
        if not isinstance(value[field], kind):
            problem = f"its field {field} is of type {type(value[field]).__name__}"
            raise invalid(f"{what} of the filter {name}", problem, fix)
