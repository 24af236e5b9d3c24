"""Deploying: a spec written on a form, begun from a file, an example or another agent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from pydantic import Field
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input
from textual.worker import Worker, WorkType

from sparkplug.client import entrypoints
from sparkplug.client.spec_sources import (
    NEW,
    Source,
    copy_words,
    example_words,
    examples,
    read_source,
    save_spec,
)
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.agent_text import agent_text
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.textfile import expanded
from sparkplug.tui.cells import Line, wrap
from sparkplug.tui.dialogs.dialog import Dialog
from sparkplug.tui.path_names import path_names
from sparkplug.tui.widgets.entry import Entry
from sparkplug.tui.widgets.form.fields import Path as FieldPath
from sparkplug.tui.widgets.form.form import Form, offers_from
from sparkplug.tui.widgets.form.offers import Suggest
from sparkplug.tui.widgets.key_row import KeyRow, KeyWord
from sparkplug.tui.widgets.page import Page
from sparkplug.tui.yaml_pens import yaml_line

if TYPE_CHECKING:
    from sparkplug.schema.agent import DesiredAgent

#: A pause in typing after which the disk and the mesh are asked.
_PAUSE_S = 0.12
#: Columns from which on form and preview stand side by side.
_BOTH = 110
_FROM, _FOLDER, _ENTRYPOINT = ("from",), ("folder",), ("entrypoint",)
_FIRST = ("from", "name", "folder", "runtime", "entrypoint")


class Deployment(AgentSpec):
    """A spec with what it begins from, and where its modules are."""

    source: str = Field(
        "",
        alias="from",
        description="what to begin with: the path of an agent file or of a folder of them, "
        "`example …`, `copy of …`, or `new`",
    )
    folder: str = Field(
        "", description="where its modules are found, on the host it will run on", min_length=1
    )

    @property
    def spec(self) -> AgentSpec:
        """The spec alone."""
        return AgentSpec.model_validate(
            {name: getattr(self, name) for name in AgentSpec.model_fields}
        )


def deployment(spec: AgentSpec | None, folder: str, source: str) -> Deployment:
    """A form's values for a spec; what is not known yet is left out."""
    values = {n: getattr(spec, n) for n in AgentSpec.model_fields} if spec is not None else {}
    made = Deployment.model_construct(**values)
    # The form reads what is set and leaves the rest empty; `model_construct` sets the defaults.
    made.source, made.folder = source, folder
    return made


class DeployForm(Form):
    """A form that hands in a whole folder of agents where it was begun from one."""

    whole: str = ""

    def action_submit(self) -> None:
        """Hand in."""
        if self.whole:
            self.post_message(self.Submitted(self, deployment(None, "", self.whole)))
        else:
            super().action_submit()


class Deploy(Dialog[None]):
    """The form, and beside it what will be deployed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5", "save", "save to a file", show=False, id="deploy.save"),
        Binding("f6", "preview", "form or preview", show=False, id="deploy.preview"),
    ]
    covers = True
    crumb = "deploy"

    def __init__(self, start: str = "") -> None:
        super().__init__(classes="deploying")
        self._start = start
        suggest: dict[FieldPath, Suggest] = {
            _FROM: self._sources,
            _FOLDER: _folders,
            _ENTRYPOINT: self._entrypoints,
            ("python",): _paths,
            ("placement", "hosts"): offers_from(lambda: ["any", *self.centre.store.names("host")]),
        }
        self.form = DeployForm(
            Deployment,
            deployment(None, str(Path.cwd()), start),
            title="deploy",
            submit="deploy",
            suggest=suggest,
            first=_FIRST,
            check=self._taken,
        )
        self._fold()
        self._page = Page("what will be deployed")
        self._keys = KeyRow(id="deploy-keys")
        self._entry = Entry(prefix="save to: ")
        self._entry.display = False
        self._examples: list[str] = []
        #: What the fields were filled from.
        self._read = ""
        self._only_preview = False

    def compose(self) -> ComposeResult:
        """The form, the preview, where a path is typed, and the keys."""
        with Horizontal():
            yield self.form
            yield self._page
        yield self._entry
        yield self._keys

    async def on_mount(self) -> None:
        """Begin."""
        self.form.focus()
        self._examples = await asyncio.to_thread(examples)
        kept = self.centre.deploy_draft
        if kept and not self._start:
            self.form.state.load(kept)
            self._fold()
            self._read = kept.get(_FROM, "")
            self.form.go(("name",))
            self.form.name_it("deploy, as it was left")
        elif self._start:
            self.form.go(_FROM)
        else:
            self.form.go(_FROM)
            self.form.offer()
        self._look()

    def on_resize(self) -> None:
        """Side by side where there is room."""
        both = self.size.width >= _BOTH
        self.form.display = both or not self._only_preview
        self._page.display = both or self._only_preview
        keys: list[tuple[str, str]] = [("f8", "deploy"), ("f5", "save to a file")]
        keys += [] if both else [("f6", "form" if self._only_preview else "preview")]
        found = [KeyWord(key, key, does) for key, does in keys]
        self._keys.set_keys([*found, KeyWord("escape", "esc", "leave")])

    # What is known while one types

    def _wanted(self) -> Mapping[str, DesiredAgent]:
        view = self.centre.store.view
        return view.desired if view is not None else {}

    def _taken(self, given: Mapping[str, Any]) -> dict[FieldPath, str]:
        """A name another has is refused: that one is edited, or applied to."""
        if not self.is_mounted or given.get("name") not in self._wanted():
            return {}
        return {("name",): "is taken; another name, or e on that agent edits it"}

    async def _sources(self, typed: str) -> Sequence[str]:
        known = [NEW, *map(example_words, self._examples)]
        known += [copy_words(name) for name in sorted(self._wanted())]
        if "/" in typed or typed.startswith((".", "~")):
            return await _paths(typed)
        found = await offers_from(lambda: known)(typed) if typed else known
        return [*found, *(await _paths(typed) if typed else ())]

    async def _entrypoints(self, typed: str) -> Sequence[str]:
        folder = self.form.state.text(self.form.state.field(_FOLDER))
        names = await asyncio.to_thread(entrypoints.entrypoint_names, folder, typed)
        return [name for name in names if name.startswith(typed)]

    def on_form_changed(self) -> None:
        """Another value."""
        self._look()

    def _fold(self) -> None:
        """Sections in which nothing is given are folded away."""
        state = self.form.state
        sections = (f for f in state.fields if f.kind == "section")
        state.closed = {f.path for f in sections if not state.set_inside(f)}

    def _look(self) -> None:
        work: WorkType[None] = partial(self._look_into, dict(self.form.state.texts))
        self.run_worker(work, group="look", exclusive=True)

    async def _look_into(self, texts: dict[FieldPath, str]) -> None:
        """Fill in what it begins from, look for the entrypoint, show what will be deployed."""
        source = texts.get(_FROM, "")
        if source != self._read and {source, self._read} != {"", NEW}:
            # At once: what is typed meanwhile would be lost in what it is filled with.
            await self._begin_from(source)
        await asyncio.sleep(_PAUSE_S)
        form = self.form
        if form.whole:
            return
        state = form.state
        named = state.text(state.field(_ENTRYPOINT))
        folder = state.text(state.field(_FOLDER))
        python = texts.get(("python",))
        doubt = await asyncio.to_thread(entrypoints.doubt_entrypoint, named, folder, python)
        form.doubt(_ENTRYPOINT, doubt)
        await self._show(cast("Deployment | None", form.value))

    async def _begin_from(self, source: str) -> None:
        wanted = dict(self._wanted())
        try:
            found = await asyncio.to_thread(read_source, source, wanted)
        except SparkplugError as error:
            place = f"{error.where}: " if error.where else ""
            self._begin_with(source, None, f"{place}{error.message.splitlines()[0]}")
            return
        self._begin_with(source, found, "")

    def _begin_with(self, source: str, found: Source | None, doubt: str) -> None:
        form = self.form
        form.doubt(_FROM, doubt)
        form.whole = ""
        if found is None:
            return
        self._read = source
        if found.many:
            form.whole = source
            self._page.show(partial(_many_lines, found))
        elif found.spec is not None or source == NEW:
            form.fill(deployment(found.spec, found.folder or str(Path.cwd()), source))
            self._fold()
            form.check()

    async def _show(self, made: Deployment | None) -> None:
        if made is None:
            problems = self.form.state.problems
            self._page.show(lambda width: _problem_lines(problems, width))
            return
        text = await asyncio.to_thread(agent_text, made.spec)
        lines = [yaml_line(line) for line in text.splitlines()]
        lines += [(), (("dim", f"modules in {made.folder}"),)]
        self._page.show(lambda _: lines)
        await asyncio.sleep(_PAUSE_S)
        pen, told = await self.centre.try_deploy(made.spec, made.folder)
        if told:
            self._page.show(lambda width: [*lines, (), *_told_lines(pen, told, width)])

    # What is done with it

    def on_form_submitted(self, event: Form.Submitted) -> None:
        """All of it holds: deploy it."""
        made = cast("Deployment", event.value)
        self._keep()
        if self.form.whole:
            self.centre.deploy({"path": self.form.whole})
        else:
            self.centre.deploy_spec(made.spec, made.folder)
        self.dismiss(None)

    def on_form_left(self) -> None:
        """Escape: what was written is there when one comes back."""
        self._keep()
        self.dismiss(None)

    def _keep(self) -> None:
        texts = dict(self.form.state.texts)
        written = set(texts) - {_FROM, _FOLDER}
        self.centre.deploy_draft = texts if written else {}

    def action_close(self) -> None:
        """Escape while a path is typed, or with the preview before one."""
        if self._entry.display:
            self._leave_entry()
        elif self._only_preview:
            self.action_preview()
        else:
            self.on_form_left()

    def action_preview(self) -> None:
        """The preview instead of the form, where there is no room for both."""
        self._only_preview = not self._only_preview and self.size.width < _BOTH
        self.on_resize()
        (self._page if self._only_preview else self.form).focus()

    def action_save(self) -> None:
        """Ask for the path of a file to save it to."""
        made = cast("Deployment | None", self.form.value)
        if made is None or self.form.whole:
            self.form.action_submit() if not self.form.whole else None
            self.centre.tell("what is written does not hold yet", "warn")
            return
        self._entry.value = str(expanded(made.folder) / f"{made.name}.yaml")
        self._entry.display = True
        self._entry.type_here()

    def _leave_entry(self) -> None:
        self._entry.display = False
        self.form.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The path."""
        event.stop()
        made = cast("Deployment | None", self.form.value)
        path = event.value.strip()
        self._leave_entry()
        if made is not None and path:
            work: WorkType[None] = partial(self._save, made.spec, expanded(path))
            _: Worker[None] = self.run_worker(work, group="save", exclusive=True)

    async def _save(self, spec: AgentSpec, path: Path) -> None:
        from sparkplug.tui.dialogs.decision import Decision

        try:
            if not await asyncio.to_thread(save_spec, spec, path, replace=False):
                question = Decision(
                    "replace the file?", lambda w: [(("text", p),) for p in wrap(str(path), w)]
                )
                if await self.app.push_screen_wait(question) != "yes":
                    return
                await asyncio.to_thread(save_spec, spec, path, replace=True)
        except SparkplugError as error:
            self.centre.tell(f"{error.where}: {error.message}", "warn")
        else:
            self.centre.tell(f"written to {path}", "ok")


def _told_lines(pen: str, told: str, width: int) -> list[Line]:
    return [((pen, part),) for line in told.splitlines() for part in wrap(line, width)]


def _problem_lines(problems: Mapping[FieldPath, str], width: int) -> list[Line]:
    lines: list[Line] = [(("dim", "nothing can be deployed yet:"),)]
    for path, text in problems.items():
        name = ".".join(path)
        lines += [(("warn", line),) for line in wrap(f"{name} {text}".strip(), width)]
    return lines


def _many_lines(found: Source, width: int) -> list[Line]:
    lines: list[Line] = [(("title", f"{len(found.many)} agents"),)]
    for spec in found.many:
        text = f"  {spec.name}  {spec.runtime}  {spec.description}"
        lines += [(("text", line),) for line in wrap(text, width)]
    return lines


async def _paths(typed: str) -> Sequence[str]:
    return await asyncio.to_thread(path_names, typed)


async def _folders(typed: str) -> Sequence[str]:
    return [path for path in await _paths(typed) if path.endswith("/")]
