# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules and Ansible: arguments in, results and failures out. Those with an engine: ``_engine_module``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule

from ._command import Runner, SubprocessRunner
from ._core.checks import Problems, invalid
from ._core.plan import Outcome, Resource, converge
from ._state.lock import lock_of

_MODULES = {"kic_cluster": "kic_cluster", "kic_cluster_network": "oci_network"}
"""Whose options the user wrote in a variable; all other variables hold those of nodes."""


def completed(arguments: Mapping[str, Any], given: Mapping[str, Any], option: str) -> dict[str, Any]:
    """Arguments of another module, as Ansible would hand them to it: with their types and defaults.

    Raises ``invalid_option`` with all problems of ``given``, which is what the user wrote in ``option``.
    """
    from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

    problems, fix = Problems(), f"see what it takes: ansible-doc nodeforge.kic.{_MODULES.get(option, 'kic_node')}"
    try:
        result = ArgumentSpecValidator(dict(arguments)).validate(dict(given))
    except (OverflowError, TypeError, ValueError) as error:
        # What ansible-core does not expect: .inf for a whole number, a flag for a mapping.
        raise invalid(option, f"one of its values cannot be used ({error})", fix) from error
    for text in result.error_messages:
        problems.add(option, text.rstrip("."), fix)
    problems.finish()
    found: dict[str, Any] = result.validated_parameters
    return found


@dataclass
class HostTask:
    """One run of a module: its parameters and whether it only looks."""

    module: AnsibleModule

    @property
    def params(self) -> dict[str, Any]:
        """The module's parameters, as Ansible checked them."""
        params: dict[str, Any] = self.module.params
        return params

    @property
    def check_mode(self) -> bool:
        """Whether nothing may be changed."""
        return bool(self.module.check_mode)

    @property
    def removed_nodes(self) -> frozenset[str]:
        """Nodes that earlier tasks of the run remove and that are still there, as nothing is changed; else none."""
        return frozenset(self.params["removed_nodes"] if self.check_mode else ())

    def warn(self, text: str) -> None:
        """Show a warning to the user."""
        self.module.warn(text)

    @property
    def runner(self) -> Runner:
        """Starts programs on the managed machine."""
        return SubprocessRunner()

    def converge(self, key: str, resource: Resource[Any, Any]) -> dict[str, Any]:
        """Bring ``resource`` into its state; the result has its description under ``key``."""
        outcome = converge(resource, check_mode=self.check_mode, lock=lock_of(resource.lock_name))
        return self.report(key, outcome)

    def report(self, key: str, outcome: Outcome) -> dict[str, Any]:
        """The result of a module that planned something."""
        plan = outcome.plan
        for warning in outcome.warnings:
            self.warn(warning)
        result: dict[str, Any] = {
            "changed": plan.changed,
            "actions": [str(action) for action in plan.actions],
            "drift": [vars(item) for item in plan.drift],
            key: outcome.value,
        }
        if self.module._diff:
            result["diff"] = outcome.diff
        return result


def run_host_module(
    argument_spec: Mapping[str, Any],
    body: Callable[[HostTask], dict[str, Any]],
    *,
    failure_facts: Callable[[], dict[str, Any]],
) -> None:
    """Run a module that works on the machine itself, as ``run_module`` does for those with an engine."""
    module = AnsibleModule(argument_spec=dict(argument_spec), supports_check_mode=True)
    finish(module, lambda: body(HostTask(module)), failure_facts)


def finish(module: AnsibleModule, work: Callable[[], dict[str, Any]], facts: Callable[[], dict[str, Any]]) -> None:
    """End ``module`` with the result of ``work``; whatever it raises becomes a diagnosis, with ``facts`` next to it.

    A failure says what was done before it: ``actions`` and ``changed`` are true of the machine, not of the intention.
    """
    shown = _shown(module)
    try:
        result = work()
        result.setdefault("actions", [])
    except Exception as error:
        # Named also where the facts themselves fail.
        given = {"engine": module.params["engine"]} if "engine" in module.params else {}
        module.fail_json(invocation=shown, **{**_failed(error), **given, **_given(facts)})
    module.exit_json(invocation=shown, **result)


def _failed(error: Exception) -> dict[str, Any]:
    from ._faults import as_failure

    found = as_failure(error)
    done = [*found.done]
    return {"msg": str(found), "diagnosis": found.diagnosis.as_dict(), "actions": done, "changed": bool(done)}


def _given(facts: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """``facts``, which must not hide the failure that they are to explain."""
    try:
        return facts()
    except Exception:
        return {}


_HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"  # Ansible's own word for it


def _shown(module: AnsibleModule) -> dict[str, Any]:
    """The parameters as ``-vvv`` shows them, without the values of options that must not be logged.

    Ansible would look for those values in all that is returned and put stars for them, also for a path or a ``1`` that
    is there for another reason. What we return holds none of them, so it is left as it is.
    """
    hidden = [key for key, option in module.argument_spec.items() if option.get("no_log")]
    for key in hidden:
        module.no_log_values.difference_update(_texts(module.params.get(key)))
    return {"module_args": {key: _HIDDEN if key in hidden and value else value for key, value in module.params.items()}}


def _texts(value: Any) -> set[str]:
    """Every text in a value, as Ansible collects them."""
    if isinstance(value, Mapping):
        return {text for item in value.values() for text in _texts(item)}
    if isinstance(value, (list, tuple)):
        return {text for item in value for text in _texts(item)}
    return {str(value)}
