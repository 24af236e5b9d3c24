"""What `?` shows: made from the bindings and the registry, so that it cannot be out of date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from textual.binding import ActiveBinding
from textual.keys import KEY_NAME_REPLACEMENTS, key_to_character

from sparkplug.tui.cells import Line, fit
from sparkplug.tui.commands import Command

#: Stands for no key: no terminal sends one of this name.
UNBOUND = "no-key"

#: What keys of pages and panes do that changes the mesh: a read-only face refuses it.
WRITING = frozenset(
    {
        *("processes.kill", "processes.kill-now", "processes.renice"),
        *("question.approve", "question.reject", "question.type", "answer.cancel"),
        *("run.cancel", "run.pause", "run.retry", "run.replay", "run.answer", "run.reject"),
        "run.add-schedule",
    }
)

_KEYS = {
    "slash": "/",
    "colon": ":",
    "question_mark": "?",
    "escape": "esc",
    "pagedown": "page down",
    "pageup": "page up",
}
_UNICODE_NAMES = {short: name for name, short in KEY_NAME_REPLACEMENTS.items()}


def key_name(key: str) -> str:
    """A key as it is written on screen."""
    if key in _KEYS:
        return _KEYS[key]
    if key.startswith("ctrl+"):
        return f"^{key[5:]}"
    written = key_to_character(_UNICODE_NAMES.get(key, key))
    return written if written and written.isprintable() and written != " " else key


def binding_lines(
    title: str, active: Iterable[ActiveBinding], node: object, *, readonly: bool = False
) -> list[Line]:
    """The bindings of one part of the screen, with the keys they have now."""
    keys: dict[str, list[str]] = {}
    for found in active:
        if readonly and found.binding.id in WRITING:
            continue
        if found.node is node and found.binding.description and found.binding.key != UNBOUND:
            keys.setdefault(found.binding.description, []).append(key_name(found.binding.key))
    lines: list[Line] = [
        (("focus", f"  {fit(', '.join(names), 20)}"), ("text", does))
        for does, names in keys.items()
    ]
    return [(("title", title),), *lines, ()] if lines else []


def alias_lines(aliases: Mapping[str, str]) -> list[Line]:
    """The short names of the `:` line."""
    found: list[Line] = [
        (("focus", f"  {fit(f':{name}', 20)}"), ("text", f":{words}"))
        for name, words in aliases.items()
    ]
    return [(("title", "short names"),), *found, ()] if found else []


def command_lines(title: str, commands: Sequence[Command]) -> list[Line]:
    """Commands with their keys and the words of the `:` line."""
    found: list[Line] = []
    for command in commands:
        why = f"  ({command.why})" if command.why else ""
        found.append(
            (
                ("focus", f"  {fit(key_name(command.key), 8)}"),
                ("text", fit(command.title, 30)),
                ("dim", f" :{command.words}{why}"),
            )
        )
    return [(("title", title),), *found, ()] if found else []
