"""How the rows of a form look: label, value, what one types there, what is wrong."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from rich.style import Style

from sparkplug.tui.cells import Line, Span, clean, clip, fit, wrap
from sparkplug.tui.widgets.form.edit import Edit, shown_text
from sparkplug.tui.widgets.form.fields import NOTHING, Field
from sparkplug.tui.widgets.form.state import FormState

#: What is typed into a field of a kind, told below the form.
_HELP = {
    "size": "like 16GiB or 500MB",
    "duration": "like 30s, 5m or 1h30m",
    "list": "a, b; what has a comma in it stands in quotes",
    "pairs": "key=value, key=value",
    "either": "one, or several with commas between them",
    "switch": "space changes it",
    "choice": "left and right go through them, space shows all",
    "section": "enter opens and closes it",
    "data": "JSON",
}
_LEAST_LABEL = 8
#: From this width on what one types stands at the right edge.
_WIDE = 56
_HINT = 11
#: Characters of a value that are looked at for a row.
_LOOKED_AT = 500


@dataclass(frozen=True, slots=True)
class Sizes:
    """Where the parts of a row stand, in cells."""

    width: int
    label: int
    hint: int

    @property
    def value_at(self) -> int:
        """Where values begin."""
        return 2 + self.label + 1

    @property
    def value(self) -> int:
        """The cells of a value, and of what is wrong with it."""
        return max(1, self.width - self.value_at - self.hint)


def sizes(fields: list[Field], width: int) -> Sizes:
    """The sizes for all fields of a form, in so many cells."""
    widest = max((cell_len(clean(f.label)) + 2 * f.depth + 2 for f in fields), default=0)
    label = max(_LEAST_LABEL, min(widest, width * 2 // 5))
    return Sizes(width, label, _HINT if width >= _WIDE else 0)


def field_line(state: FormState, field: Field, at: Sizes, *, focused: bool | None) -> Line:
    """A row one does not type in; `focused` is None of one the cursor is not on."""
    return _row(state, field, at, _value(state, field, focused is not None, at.value), focused)


def edited_line(
    state: FormState, field: Field, at: Sizes, edit: Edit, caret: Style, *, focused: bool
) -> Line:
    """The row one types in."""
    room = _value_room(state, field, at)
    if not edit.text:
        default = _default(field)
        shown: list[Span] = [(caret if focused else "dim", default[:1]), ("dim", default[1:])]
    else:
        pen = caret if focused else Style()
        shown = edit.spans(room, "bold", pen, secret=field.kind == "secret")
    return _row(state, field, at, tuple(shown), focused)


def _row(state: FormState, field: Field, at: Sizes, value: Line, focused: bool | None) -> Line:
    wrong, doubt = state.wrong(field), state.doubts.get(field.path, "")
    mark = " " if focused is None else "▸" if focused else "·"
    flag: Span = ("bad", "✖") if wrong else ("warn", "*") if field.required else ("text", " ")
    pen = "focus" if focused else "text" if state.is_set(field) or field.required else "dim"
    label = " " * (2 * field.depth)
    if field.kind == "section":
        open_ = state.is_on(field) and field.path not in state.closed
        label += "- " if open_ else "+ "
        pen = "title"
    line: list[Span] = [
        ("focus", mark),
        flag,
        (pen, fit(label + field.label, at.label)),
        ("text", " "),
    ]
    if wrong or doubt:
        room = _value_room(state, field, at)
        taken = min(room, sum(cell_len(text) for _, text in value) + 1)
        line += clip(value, taken)
        line.append(("bad", f"✖ {wrong}") if wrong else ("warn", f"▲ {doubt}"))
        return clip(tuple(line), at.width)
    line += clip(value, at.value)
    if at.hint:
        line.append(("dim", fit(field.hint, at.hint, "right")))
    return tuple(line)


def _value_room(state: FormState, field: Field, at: Sizes) -> int:
    """The cells that what is typed has, beside what is wrong with it."""
    told = state.wrong(field) or state.doubts.get(field.path)
    return max(2, at.value // 2) if told else at.value


def _value(state: FormState, field: Field, here: bool, room: int) -> Line:
    if field.kind == "section":
        return (("dim", _inside(state, field)),)
    given = state.is_set(field)
    text = state.text(field) if given else _default(field)
    pen = "bold" if given else "dim"
    if field.kind == "switch":
        box = {"yes": "[x]", "no": "[ ]"}.get(text, "[?]")
        return ((pen, f"{box} {text}"),)
    if field.kind == "choice" and here:
        return (("focus", "< "), (pen, text or "none"), ("focus", " >"))
    secret = field.kind == "secret" and given
    return ((pen, fit(shown_text(text, _LOOKED_AT, secret=secret), room).rstrip() or "none"),)


def _default(field: Field) -> str:
    """The default as it is shown where nothing was typed."""
    from sparkplug.tui.widgets.form.fields import written

    if field.default is NOTHING:
        return " "
    if field.default is None or field.default in ("", [], {}, (), set()):
        return "none"
    if field.kind == "secret":
        return shown_text(written(field, field.default), _LOOKED_AT, secret=True)
    return shown_text(written(field, field.default), _LOOKED_AT)


def _inside(state: FormState, field: Field) -> str:
    if not state.is_on(field):
        return "none; space adds it"
    count = state.set_inside(field)
    return f"{count} given" if count else ""


def offer_line(text: str, at: Sizes, *, chosen: bool) -> Line:
    """One of the offers below a field."""
    mark = "❯ " if chosen else "  "
    return (
        ("text", " " * max(0, min(at.value_at - 2, at.width // 2))),
        ("focus", mark),
        ("focus" if chosen else "text", clean(text)),
    )


def submit_line(label: str, *, focused: bool | None) -> Line:
    """The row that hands the form in."""
    mark = " " if focused is None else "▸" if focused else "·"
    pen = "focus" if focused else "text"
    return (("focus", f"{mark} "), (pen, f"[ {label} ]"))


def about_lines(state: FormState, field: Field | None, width: int, most: int) -> list[Line]:
    """What is below the form: what is wrong with the field under the cursor, or what it is."""
    wrong = state.wrong(field) if field is not None else state.problem
    if wrong:
        name = f"{field.label}: " if field is not None else ""
        return [(("bad", line),) for line in wrap(f"✖ {name}{wrong}", width)[:most]]
    if field is None:
        return []
    if doubt := state.doubts.get(field.path):
        return [(("warn", line),) for line in wrap(f"▲ {field.label}: {doubt}", width)[:most]]
    help_ = f"one of {', '.join(field.names)}" if field.choices else _HELP.get(field.kind, "")
    # A description may be the docstring of a model, which is a sentence.
    described = field.description.removesuffix(".") if help_ else field.description
    told = "; ".join(part for part in (described, help_) if part)
    return [(("dim", line),) for line in wrap(told, width)[:most]]
