"""Short names for what one types after `:`, built in and of the settings (`tui.aliases`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sparkplug.tui.commands import Command, named, split

#: Those there are without any setting. None of them is the first word of a command.
BUILT_IN: dict[str, str] = {
    "ov": "overview",
    "ho": "hosts",
    "ag": "agents",
    "deploy": "agents deploy",
    "start": "agents start",
    "stop": "agents stop",
    "restart": "agents restart",
    "scale": "agents scale",
    "rm": "agents remove",
    "quit": "q",
    "exit": "q",
}


def expand(text: str, aliases: Mapping[str, str]) -> str:
    """The line with an alias at its beginning written out; once, so that none leads in a circle."""
    word, space, rest = text.lstrip().partition(" ")
    return f"{aliases[word]}{space}{rest}" if word in aliases else text


def folded(line: str, typed: str, aliases: Mapping[str, str]) -> str:
    """A line made of an expanded one, with the alias it was `typed` with at its beginning."""
    word, blank, _ = typed.lstrip().partition(" ")
    words = aliases.get(word) if blank else None
    return f"{word}{line[len(words) :]}" if words and line.startswith(f"{words} ") else line


def begins(text: str, aliases: Mapping[str, str]) -> list[str]:
    """The aliases that a first word being typed could become."""
    return [name for name in aliases if name.startswith(text)] if " " not in text else []


def read_aliases(
    wanted: Mapping[str, str], commands: Sequence[Command]
) -> tuple[dict[str, str], list[str]]:
    """The aliases in force, and what is wrong with those that were asked for.

    One that is the first word of a command, or that stands for no command, is left out.
    """
    first = _first_words(commands)
    found = {name: words for name, words in BUILT_IN.items() if name not in first}
    problems: list[str] = []
    for name, words in wanted.items():
        if name in first:
            problems.append(f"tui.aliases: {name} is a command already")
        elif named(split(words), commands)[0] is None:
            from sparkplug.schema.problems import did_you_mean

            near = did_you_mean(words, {command.words for command in commands})
            problems.append(f"tui.aliases: {name}: there is no command {words}{near}")
        else:
            found[name] = words
    return found, problems


def _first_words(commands: Iterable[Command]) -> set[str]:
    return {command.words.split()[0] for command in commands if command.words}
