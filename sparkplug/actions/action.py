"""What an action is. Nothing here imports the bus: faces build their menus from it at start."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from sparkplug.client.prompts import PromptChunk

#: What an argument is; those from `agent` to `path` are completed from what there is.
Kind = Literal[
    "text",
    "integer",
    "seconds",
    "switch",
    "pairs",
    "agent",
    "host",
    "run",
    "task",
    "plan",
    "question",
    "path",
    "decision",
    "memory",
    "schedule",
    "proposal",
]
TargetKind = Literal[
    "agent", "host", "run", "task", "question", "decision", "memory", "schedule", "proposal"
]


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of an action.

    Without a `flag` it is positional. A `switch` is true or false, `pairs` are key=value texts,
    `repeated` takes several; `short` is another name of the flag. `seconds` are written like
    30s or 5m. What is required need not be given where the argument named `unless` is. `stdin`
    is for what may be long: on a command line `-` reads it from there, for `pairs` as a JSON
    object.
    """

    name: str
    kind: Kind
    help: str
    required: bool = False
    default: Any = None
    flag: str | None = None
    choices: tuple[str, ...] = ()
    repeated: bool = False
    short: str | None = None
    unless: str = ""
    stdin: bool = False

    def needed(self, given: Mapping[str, Any]) -> bool:
        """Whether it must be given, too, beside what was."""
        return self.required and not (self.unless and given.get(self.unless))


@dataclass(frozen=True, slots=True)
class Subject:
    """What is selected: its kind, its name, and the record that shows it (when known)."""

    kind: TargetKind
    name: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What an action did, in a sentence and as data.

    `chunks` is an answer still coming, a line of it each where it is a `stream`; `text` something
    to read in full instead of the sentence. `cancel` ends what the answer comes of, and says what
    became of it.
    `exit_code` is what a command leaves with where that is an answer of its own, as of `diff`.
    """

    message: str
    data: Any = None
    changed: bool = True
    chunks: AsyncGenerator[PromptChunk, None] | None = None
    text: str = ""
    exit_code: int = 0
    stream: bool = False
    cancel: Callable[[], Awaitable[str]] | None = None


def always(subject: Subject | None) -> str | None:
    """For actions that fit whatever is selected."""
    return None


@dataclass(frozen=True, slots=True)
class Action:
    """One user action, shared by the CLI (`verb`) and the TUI (`key`, palette, `:` line).

    `applies` says why it does not fit a subject, or None when it does. `run` is awaited as
    `run(client, **arguments)`; `preview(**arguments)` says in a sentence what it would do.
    `check(client, **arguments)` raises what would keep it from being done, and changes nothing;
    what it returns says in full what would be done, where looking at the mesh tells more. It is
    asked before a person is: what is dangerous and has a name needs one.
    `trial(client, **arguments)` says more of what it would do, asked of the mesh, for a dry run.
    `confirm(client, **arguments)` returns what to ask about before it is done, or None.
    `many` actions are run once for each name given, or with `together(client, calls)` once for
    all, whose data is then a list. `danger` asks before it does anything;
    `writes` is refused by a read-only face.
    """

    id: str
    title: str
    help: str
    verb: tuple[str, ...]
    run: Callable[..., Awaitable[ActionResult]]
    preview: Callable[..., str]
    target: TargetKind | None = None
    arguments: tuple[Argument, ...] = ()
    key: str | None = None
    danger: bool = False
    writes: bool = True
    many: bool = False
    together: Callable[..., Awaitable[ActionResult]] | None = None
    check: Callable[..., Awaitable[str | None]] | None = None
    trial: Callable[..., Awaitable[ActionResult]] | None = None
    confirm: Callable[..., Awaitable[str | None]] | None = None
    applies: Callable[[Subject | None], str | None] = always

    @property
    def target_argument(self) -> Argument | None:
        """The argument that the selected subject fills."""
        if self.target is None:
            return None
        return next(argument for argument in self.arguments if argument.kind == self.target)
