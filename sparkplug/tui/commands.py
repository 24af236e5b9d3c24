"""Everything one can ask for, by the palette or the `:` line: actions, panes, themes, views."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sparkplug.schema.errors import InvalidError
from sparkplug.schema.text import one_line
from sparkplug.tui.fuzzy import match

if TYPE_CHECKING:
    from sparkplug.actions.registry import Action, Argument, Subject

PANES: dict[str, str] = {
    "overview": "1",
    "hosts": "2",
    "agents": "3",
    "topology": "4",
    "tasks": "5",
    "workflows": "6",
    "memory": "7",
}

#: Names there are of a kind of argument.
Names = Callable[[str], list[str]]


#: What one wants first of something that failed, in this order; and what one does not.
_WHY, _LOGS, _RESTART, _LATE = 0, 1, 2, 99


@dataclass(frozen=True, slots=True)
class Command:
    """One entry: `words` is what the `:` line takes, `do` an action of the app itself.

    `action` is one of the registry instead, `given` the arguments that are known already.
    `names` are those of what is marked, where it is done to all of that. `why` says why it
    cannot be done now.
    """

    title: str
    words: str
    key: str = ""
    why: str | None = None
    do: str = ""
    action: Action | None = None
    given: dict[str, Any] = field(default_factory=dict)
    fits: bool = False
    names: tuple[str, ...] = ()
    #: What one wants first of something that failed: lower is sooner.
    worth: int = _LATE


#: States of an agent in which one looks into it before all else, and what one then does.
_FAILED = frozenset({"error", "degraded", "stale"})


#: What can be done about what failed, too, and is not what one wants first.
_GIVES_UP = frozenset({"agents.stop", "agents.remove"})


_MANY = {"memory": "memories"}
#: An action is offered for so many of the names that fit what is typed.
_MOST_NAMED = 8


def own_commands(
    subject: Subject | None,
    themes: Iterable[str],
    key: Callable[[str], str],
    contexts: Iterable[str] = (),
) -> list[Command]:
    """What the control centre does by itself; `key` is the key of an id, as it is written."""
    found = [
        Command(f"Show {pane}", pane, key(f"pane.{pane}"), do=f"pane('{pane}')") for pane in PANES
    ]
    kind = subject.kind if subject else None
    if subject is not None:
        name = one_line(subject.name)
        found.append(
            Command(f"Describe {name}", "describe", key("describe"), do="describe", fits=True)
        )
    logs = None if kind == "agent" else "select an agent"
    worth = _LOGS if _failed(subject) else _LATE
    found.append(
        Command(
            "Follow logs", "logs", key("logs"), logs, do="logs", fits=kind == "agent", worth=worth
        )
    )
    before = Command("Log of the process before", "previous", key("previous-logs"), logs)
    found.append(replace(before, do="previous", fits=kind == "agent"))
    if subject is not None and getattr(subject.value, "runtime", "") == "langgraph":
        title = f"Graph of {one_line(subject.name)}"
        found.append(Command(title, "graph", do="graph", fits=True))
    if subject is not None and kind != "question":
        title = f"Why is {one_line(subject.name)} slow or failed"
        why = Command(title, "why", key("why"), do="why", fits=True)
        found.append(replace(why, worth=_WHY if _failed(subject) else _LATE))
    found += [Command(f"Theme {name}", f"theme {name}", do=f"theme('{name}')") for name in themes]
    found.append(Command("Meshes", "ctx", key("contexts"), do="contexts"))
    found += [Command(f"Mesh {name}", f"ctx {name}", do=f"context({name!r})") for name in contexts]
    found += [
        Command("Help for where you stand", "help", key("help"), do="help"),
        Command("Filter", "filter", key("filter"), do="filter_here"),
        Command("Back to where one was", "back", key("history.back"), do="history(-1)"),
        Command("Ahead again", "forward", key("history.forward"), do="history(1)"),
        Command("Quit", "q", key("quit"), do="quit"),
    ]
    return found


def shell_commands(subject: Subject | None, *, readonly: bool) -> list[Command]:
    """A shell beside what is selected: after all that one wants sooner."""
    if subject is None or subject.kind != "agent" or readonly:
        return []
    return [Command(f"Shell beside {one_line(subject.name)}", "shell", do="shell", fits=True)]


def action_commands(
    subject: Subject | None,
    plans: Sequence[str],
    keys: dict[str, str],
    *,
    readonly: bool,
    marked: Sequence[Subject] = (),
) -> list[Command]:
    """The actions of the registry; a read-only face has those only that change nothing.

    Those that can be done to many are done to all that is `marked`, where they apply.
    """
    from sparkplug.actions.registry import ACTIONS

    found: list[Command] = []
    for action in ACTIONS.values():
        if readonly and action.writes:
            continue
        words, key = " ".join(action.verb), keys.get(action.id, "")
        required = [argument for argument in action.arguments if argument.required]
        if required and required[0].kind == "plan":
            found += [
                Command(
                    f"{action.title} {plan}",
                    f"{words} {plan}",
                    action=action,
                    given={required[0].name: plan},
                )
                for plan in plans
            ]
        target = action.target_argument
        of_kind = [one for one in marked if one.kind == action.target] if action.many else []
        if target is not None and of_kind:
            found.append(_for_all(action, of_kind, key))
        elif target is not None and subject is not None and subject.kind == action.target:
            title = f"{action.title} {one_line(subject.name)}"
            why = action.applies(subject)
            given = {target.name: subject.name}
            worth = _worth(subject, action.id)
            found.append(
                Command(title, words, key, why, action=action, given=given, fits=True, worth=worth)
            )
        else:
            found.append(Command(f"{action.title} …", words, key, action=action))
    return found


def named_anew(typed: str, commands: Iterable[Command], names: Names) -> list[Command]:
    """Actions on what is typed after them, whatever is selected: `restart crit` with a name."""
    head, _, tail = typed.strip().rpartition(" ")
    found: list[Command] = []
    if not head:
        return found
    fitting: dict[str, list[str]] = {}
    for command in commands:
        target = command.action.target_argument if command.action is not None else None
        if command.action is None or target is None:
            continue
        if match(head, command.action.title) is None and match(head, command.words) is None:
            continue
        if target.kind not in fitting:
            fitting[target.kind] = _best(tail, names(target.kind))
        for name in fitting[target.kind]:
            if command.given.get(target.name) != name:
                title = f"{command.action.title} {one_line(name)}"
                given = {target.name: name}
                found.append(Command(title, command.words, action=command.action, given=given))
    return found


def _best(typed: str, names: Iterable[str]) -> list[str]:
    """The names that fit what is typed best."""
    hits = [(hit.points, name) for name in names if (hit := match(typed, name)) is not None]
    return [name for _, name in sorted(hits, key=lambda hit: -hit[0])[:_MOST_NAMED]]


def _worth(subject: Subject, action: str) -> int:
    """How soon one wants an action: a restart, then in the order in which it mends what failed."""
    if action == "agents.restart" and _failed(subject):
        return _RESTART
    offered = [one for one in getattr(subject.value, "recovery", ()) if one not in _GIVES_UP]
    return _RESTART + 1 + offered.index(action) if action in offered else _LATE


def _for_all(action: Action, marked: Sequence[Subject], key: str) -> Command:
    """An action on all that is marked and that it applies to; why not, when that is nothing."""
    names = tuple(one.name for one in marked if action.applies(one) is None)
    why = None if names else action.applies(marked[0])
    count, words = len(names or marked), " ".join(action.verb)
    things = (
        str(action.target) if count == 1 else _MANY.get(action.target or "", f"{action.target}s")
    )
    title = f"{action.title.rsplit(' ', 1)[0]} {count} {things}"
    target = action.target_argument
    assert target is not None
    given = {target.name: (names or tuple(one.name for one in marked))[0]}
    return Command(title, words, key, why, action=action, given=given, fits=True, names=names)


def _failed(subject: Subject | None) -> bool:
    """Whether an agent that failed is selected."""
    state = getattr(subject.value, "state", None) if subject is not None else None
    return str(state) in _FAILED


def lacking(action: Action, given: Mapping[str, Any]) -> list[Argument]:
    """The arguments that must be asked for."""
    return [a for a in action.arguments if a.needed(given) and a.name not in given]


def missing(action: Action, given: Mapping[str, Any]) -> Argument | None:
    """The next argument that must be asked for."""
    return next(iter(lacking(action, given)), None)


def value_of(argument: Argument, text: str) -> Any:
    """What was typed, as the kind of the argument has it. Raises InvalidError."""
    from sparkplug.schema.units import parse_seconds

    if argument.choices and text not in argument.choices:
        raise InvalidError(f"{argument.name} is one of {', '.join(argument.choices)}")
    try:
        if argument.kind == "integer":
            return int(text)
        if argument.kind == "seconds":
            return float(parse_seconds(text))
    except ValueError as error:
        raise InvalidError(f"{argument.name}: {text!r} is not {_a(argument.kind)}") from error
    return text


def _a(kind: str) -> str:
    return {"integer": "a whole number", "seconds": "a duration, like 30s"}[kind]


#: Commands that there is one of for each name, and what these are names of.
_FAMILIES = {"ctx": "mesh", "theme": "theme"}


@dataclass(frozen=True, slots=True)
class Spoken:
    """A `:` line understood: the command, and its arguments, once for each name it gives."""

    command: Command
    calls: list[dict[str, Any]]


def split(text: str) -> list[str]:
    """The words of a line; an open quote counts as closed."""
    for closing in ("", "'", '"'):
        try:
            return shlex.split(text + closing)
        except ValueError:
            continue
    return text.split()


def understand(text: str, commands: Sequence[Command]) -> Spoken:
    """The command a `:` line names. Raises InvalidError."""
    words = split(text)
    command, rest = named(words, commands)
    if command is None or (command.action is None and rest):
        from sparkplug.schema.problems import did_you_mean

        if len(words) > 1 and (kind := _FAMILIES.get(words[0].casefold())):
            there = [c.words.split()[1] for c in commands if c.words.startswith(f"{words[0]} ")]
            near = did_you_mean(words[1], there)
            raise InvalidError(f"no {kind} {words[1]}{near}", hint=f"there are: {', '.join(there)}")
        known = {command.words for command in commands}
        near = did_you_mean(" ".join(words[:2]), known) or did_you_mean(text, known)
        raise InvalidError(f"no command {text}{near}", hint="? shows all there are")
    if command.action is None:
        return Spoken(command, [])
    return Spoken(command, _arguments(command, rest))


def writing_verb(text: str) -> str:
    """The words of an action that changes the mesh, where a line begins with them; else empty."""
    from sparkplug.actions.registry import ACTIONS

    words = _folded(split(text))
    verbs = [list(a.verb) for a in ACTIONS.values() if a.writes]
    return next((" ".join(verb) for verb in verbs if words[: len(verb)] == verb), "")


def named(words: Sequence[str], commands: Sequence[Command]) -> tuple[Command | None, list[str]]:
    """The command with the longest name the line begins with, and the words that are left.

    Case makes no difference, where no other command has the name as it is written.
    """
    best: Command | None = None
    size, exact = 0, False
    for command in commands:
        name = command.words.split()
        said = list(words[: len(name)])
        if len(name) < size or not name:
            continue
        if said == name and (len(name) > size or not exact):
            best, size, exact = command, len(name), True
        elif len(name) > size and _folded(said) == _folded(name):
            best, size, exact = command, len(name), False
    return best, list(words[size:])


def _folded(words: Iterable[str]) -> list[str]:
    return [word.casefold() for word in words]


def _arguments(command: Command, words: Sequence[str]) -> list[dict[str, Any]]:
    action = command.action
    assert action is not None
    given: dict[str, Any] = {} if words else dict(command.given)
    if command.given and command.words.split() != list(action.verb):
        given = dict(command.given)
    positional = [a for a in action.arguments if a.flag is None and a.name not in given]
    names: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            _flag(action, word, rest, given)
        elif not positional:
            if not action.many:
                raise InvalidError(f"{action.title.lower()} takes nothing more, not {word}")
            names.append(word)
        else:
            argument = positional.pop(0)
            if argument.kind == "text" and not positional:
                word, rest = " ".join([word, *rest]), []
            given[argument.name] = value_of(argument, word)
    target = action.target_argument
    calls = [given]
    if target is not None:
        calls += [{**given, target.name: name} for name in names]
    return calls


def _flag(action: Action, word: str, rest: list[str], given: dict[str, Any]) -> None:
    flag, equals, value = word.partition("=")
    argument = next((a for a in action.arguments if a.flag == flag), None)
    if argument is None:
        flags = ", ".join(a.flag for a in action.arguments if a.flag) or "none"
        raise InvalidError(f"no option {flag}", hint=f"there are: {flags}")
    if argument.kind == "switch":
        given[argument.name] = True
        return
    if not equals:
        if not rest:
            raise InvalidError(f"{flag} needs a value: {argument.help}")
        value = rest.pop(0)
    parsed = value_of(argument, value)
    given[argument.name] = [*given.get(argument.name, ()), parsed] if argument.repeated else parsed
