# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kubeconfig's text: read, and changed in the places that differ, so that all else stays as its user wrote it.

PyYAML's decoded data knows nothing of comments, anchors or styles. Its marks do know where each value is in the text: a
change is made there, and the result is decoded again. Where that is not exactly what was to be written, the whole file
is written again, and what that loses is named.
"""

from __future__ import annotations

import bisect
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Keeps what looks like a date, an octal or a time as it is written: it is to be written back the same."""


_PLAIN = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _PLAIN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"-?(?:0|[1-9][0-9]*)$"), list("-0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"-?(?:0|[1-9][0-9]*)\.(?:[0-9]*[1-9]|0)$"), list("-0123456789")
)


def load(text: str) -> Any:
    """The decoded text. Raises :class:`yaml.YAMLError`."""
    found = _json(text)
    return found if found is not None else yaml.load(text, Loader=_Loader)  # it is the safe loader, and knows less


def _json(text: str) -> Any:
    """JSON is taken by kubectl too, also with tabs, which PyYAML refuses; None when it is not JSON."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def dump(value: Any) -> str:
    """A whole text, with keys in their order and letters of all languages as they are."""
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    return text


def changed(text: str | None, before: Any, after: Any) -> tuple[str, list[str]]:
    """The text with ``after`` in place of ``before``, which is what it holds, and the kinds of things that it loses."""
    if before == after and text is not None:
        return text, []
    if not text:
        return dump(after), []
    if _json(text) is not None:
        return _as_json(text, after), []
    found = _edited(text, before, after) or dump(after)
    return found, lost(text, found)


def lost(before: str, after: str) -> list[str]:
    """The kinds of things of a user that were in the text and are not any more."""
    gone = _features(before) - _features(after)
    return sorted({kind for kind, _what in gone})


def _as_json(text: str, after: Any) -> str:
    """Who wrote JSON gets it back, with the indentation of its first line."""
    first = re.match(r"\s*\{[ ]*\r?\n([ \t]+)", text)
    return json.dumps(after, indent=first.group(1) if first else None, ensure_ascii=False) + "\n"


def _features(text: str) -> Counter[tuple[str, str]]:
    """Comments, anchors, aliases and block scalars of a text, which its decoded data does not have."""
    found: Counter[tuple[str, str]] = Counter()
    end = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        # Between two tokens there are blanks and comments only.
        gap = text[end : token.start_mark.index]
        found.update(("comments", comment.strip()) for comment in re.findall(r"#[^\r\n]*", gap))
        end = max(end, token.end_mark.index)
        if isinstance(token, (yaml.AnchorToken, yaml.AliasToken)):
            found["anchors", token.value] += 1
        elif isinstance(token, yaml.ScalarToken) and token.style in ("|", ">"):
            found["block scalars", token.value] += 1
    return found


class _NotHere(Exception):  # it never leaves this file
    """The change cannot be made in the text."""


@dataclass
class _Node:
    """A value in the text: from ``start`` to ``end``, the end of the last thing in it; what follows is outside."""

    start: int
    end: int
    column: int | None = None
    """Of a block mapping's keys or a block sequence's dashes; None where the value is neither."""
    keys: dict[str, tuple[int, int, _Node]] = field(default_factory=dict)
    """Of a block mapping: where each key begins and ends, and its value."""
    items: list[_Node] = field(default_factory=list)
    """Of a block sequence."""


def _tree(events: Iterator[Any], first: Any = None) -> _Node:
    """The value that the next events tell of."""
    event: Any = next(events) if first is None else first
    begin: Any = event.start_mark
    node = _Node(begin.index, event.end_mark.index)
    if not isinstance(event, yaml.CollectionStartEvent):
        return node
    children: list[tuple[Any, _Node]] = []
    one: Any = next(events)
    while not isinstance(one, yaml.CollectionEndEvent):
        children.append((one, _tree(events, one)))
        one = next(events)
    if event.flow_style:
        finish: Any = one.end_mark
        node.end = finish.index
        return node
    if children:
        node.end = children[-1][1].end
    if isinstance(event, yaml.SequenceStartEvent):
        node.column, node.items = begin.column, [child for _event, child in children]
    elif children:
        node.column = children[0][0].start_mark.column
        for (key, place), (_event, value) in zip(children[::2], children[1::2]):
            node.keys[getattr(key, "value", "")] = (place.start, place.end, value)
    return node


class _Edits:
    """Changes of one text, collected in its order."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.found: list[tuple[int, int, str]] = []
        self.dashes = [
            token.start_mark.index
            for token in yaml.scan(text, Loader=yaml.SafeLoader)
            if isinstance(token, yaml.BlockEntryToken)
        ]

    def result(self) -> str:
        """The changed text."""
        parts, at = [], 0
        for start, end, new in sorted(self.found, key=lambda edit: edit[0]):
            parts += [self.text[at:start], new.replace("\n", "\r\n") if "\r\n" in self.text else new]
            at = max(at, end)
        return "".join((*parts, self.text[at:]))

    def value(self, node: _Node, before: Any, after: Any) -> None:
        """Make one value out of another."""
        if before == after:
            return
        if isinstance(before, dict) and isinstance(after, dict) and node.keys:
            self._mapping(node, before, after)
        elif isinstance(before, list) and isinstance(after, list) and node.items:
            self._sequence(node, before, after)
        else:
            blank = " " if node.start == node.end else ""
            line = "\n" if self.text[node.start : node.end].endswith("\n") else ""
            self.found.append((node.start, node.end, f"{blank}{_inline(after)}{line}"))

    def _mapping(self, node: _Node, before: dict[str, Any], after: dict[str, Any]) -> None:
        for key in before:
            if key not in after:
                begin, _end, value = self._place(node, key)
                self._remove(begin, value.end)
        new = {}
        for key, wanted in after.items():
            if key not in node.keys and before.get(key, _NotHere) != wanted:
                new[key] = wanted  # what a merge key brought is overridden in the same way
            elif key in node.keys:
                self._entry(node, key, before.get(key), wanted)
        if new:
            self.found.append((self._line_end(node.end),) * 2 + (_block(new, node.column),))

    def _place(self, node: _Node, key: str) -> tuple[int, int, _Node]:
        if key not in node.keys:
            raise _NotHere
        return node.keys[key]

    def _entry(self, node: _Node, key: str, before: Any, after: Any) -> None:
        _begin, end, value = self._place(node, key)
        colon = self.text.index(":", end) + 1
        if isinstance(after, list) and after and not before:
            # An empty list is written on the line of its key, one with something in it below.
            self.found.append((colon, value.end, ""))
            self.found.append((self._line_end(value.end),) * 2 + (_block(after, node.column),))
        elif isinstance(before, list) and before and after == [] and value.items:
            self.found.append((colon, colon, " []"))
            self._sequence(value, before, [])
        else:
            self.value(value, before, after)

    def _sequence(self, node: _Node, before: list[Any], after: list[Any]) -> None:
        at = 0
        shorter = len(after) < len(before)
        for item, was in zip(node.items, before):
            if shorter and (at == len(after) or after[at] != was):
                self._remove(self.dashes[bisect.bisect_left(self.dashes, item.start) - 1], item.end)
                continue
            self.value(item, was, after[at])
            at += 1
        if at < len(after):
            self.found.append((self._line_end(node.end),) * 2 + (_block(after[at:], node.column),))

    def _remove(self, begin: int, end: int) -> None:
        """Take whole lines out."""
        start = self.text.rfind("\n", 0, begin) + 1
        if self.text[start:begin].strip():
            raise _NotHere
        self.found.append((start, self._line_end(end), ""))

    def _line_end(self, index: int) -> int:
        """Where the next line begins after what ends at ``index``."""
        return index if self.text[:index].endswith("\n") else self.text.index("\n", index) + 1


def _block(value: Any, column: int | None) -> str:
    return "".join(" " * (column or 0) + line for line in dump(value).splitlines(keepends=True))


def _inline(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1 << 30)
    text = text.removesuffix("\n").removesuffix("\n...")
    return json.dumps(value, ensure_ascii=False) if "\n" in text else text


def _edited(text: str, before: Any, after: Any) -> str | None:
    """The text with the changes in their places; None when that cannot be, or does not come out as ``after``."""
    text = text if text.endswith("\n") else f"{text}\n"
    told = (yaml.NodeEvent, yaml.CollectionEndEvent)
    try:
        events = [event for event in yaml.parse(text, Loader=yaml.SafeLoader) if isinstance(event, told)]
        if not before and len(events) < 2:  # nothing, or only comments
            found = text + dump(after)
        else:
            edits = _Edits(text)
            edits.value(_tree(iter(events)), before, after)
            found = edits.result()
        return found if load(found) == after else None
    except (yaml.YAMLError, _NotHere, RecursionError, ValueError):
        return None
