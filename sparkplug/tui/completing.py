"""What a `:` line could become: commands, then names and options of the one that it names."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparkplug.tui.commands import Command, Names, named, split

if TYPE_CHECKING:
    from sparkplug.actions.registry import Argument


def path_due(text: str, commands: Sequence[Command]) -> tuple[str, str] | None:
    """The part of a path typed at the end of a line, and the line before it; None when none is due.

    What is due is a positional argument or the value of an option, a path or a plan's file.
    """
    before, typed = _parted(text)
    command, rest = named(before, commands)
    if command is None or command.action is None or typed.startswith("-"):
        return None
    due, _ = _due(command, rest)
    if due is None or due.kind not in ("path", "plan"):
        return None
    return typed, " ".join(map(_quoted, before))


def with_path(before: str, path: str) -> str:
    """The line with a path at its end."""
    return f"{before} {_quoted(path)}"


def complete(text: str, commands: Sequence[Command], names: Names) -> list[str]:
    """Whole lines that what is typed could become, best first, whatever its case.

    Those that begin so go before those that have it further in: `drain` is in `hosts drain`, and
    `7f` in the name `web-7f`.
    """
    before, open_word = _parted(text)
    begin, inside, typed = [], [], " ".join(split(text)).casefold()
    for line in (command.words for command in commands):
        low = line.casefold()
        if low.startswith((typed, text.casefold())):
            begin.append(line)
        elif typed and f" {typed}" in low:
            inside.append(line)
    due, rest = named(before, commands)
    if due is not None and due.action is not None:
        wanted = open_word.casefold()
        for word in _next_words(due, rest, names):
            low = word.casefold()
            line = " ".join([*map(_quoted, before), _quoted(word)])
            if low.startswith(wanted):
                begin.append(line)
            elif wanted in low and not low.startswith("-"):
                inside.append(line)
    return [line for line in dict.fromkeys([*begin, *inside]) if line != text.strip()]


def _quoted(word: str) -> str:
    return shlex.quote(word) if any(c.isspace() or c in "'\"\\" for c in word) else word


def _parted(text: str) -> tuple[list[str], str]:
    """The words of a line that are whole, and the one that is being typed."""
    words = split(text)
    typed = "" if not text or text[-1].isspace() else words[-1] if words else ""
    return words[: len(words) - bool(typed)], typed


def _due(command: Command, words: Sequence[str]) -> tuple[Argument | None, bool]:
    """The argument that comes next after these words, and whether it is an option's value."""
    action = command.action
    assert action is not None
    flag: Argument | None = None
    done = 0
    for word in words:
        if flag is not None:
            flag = None
        elif word.startswith("--"):
            found = next((one for one in action.arguments if one.flag == word), None)
            flag = found if found is not None and found.kind != "switch" else None
        else:
            done += 1
    if flag is not None:
        return flag, True
    # One command for each name has that in its words; of what is selected another can be named.
    known = command.given if command.words.split() != list(action.verb) else {}
    positional = [one for one in action.arguments if one.flag is None and one.name not in known]
    return (positional[done] if done < len(positional) else None), False


def _next_words(command: Command, words: Sequence[str], names: Names) -> list[str]:
    """What could stand next in a line: names for the argument that is due, then options."""
    action = command.action
    assert action is not None
    due, is_value = _due(command, words)
    target = action.target_argument
    found: list[str] = []
    if due is not None:
        found += due.choices or names(due.kind)
    elif action.many and target is not None:
        found += [name for name in names(target.kind) if name not in words]
    if is_value:
        return found
    flags = (one for one in action.arguments if one.flag)
    return [*found, *(f.flag for f in flags if f.flag and (f.repeated or f.flag not in words))]
