"""What is drawn where only ASCII can be: one character for one, so that nothing shifts."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

#: Every character beyond ASCII that the control centre draws with, and its stand-in. Those that
#: tell states of one thing apart stay different.
GLYPHS: dict[str, str] = {
    "◌": ":",
    "○": "o",
    "●": "@",
    "◐": "%",
    "→": ">",
    "◇": "$",
    "◍": "-",
    "■": "#",
    "✖": "X",
    "✔": "V",
    "⊘": "/",
    "⊗": "&",
    "▣": "+",
    "◎": "O",
    "◂": "<",
    "▪": ".",
    "×": "x",
    "…": "~",
    "▁": "_",
    "▂": ".",
    "▃": "-",
    "▄": "=",
    "▅": "+",
    "▆": "*",
    "▇": "#",
    "█": "#",
    "▏": ".",
    "▎": "-",
    "▍": "-",
    "▌": "=",
    "▋": "=",
    "▊": "+",
    "▉": "*",
    "·": ".",
    "•": "*",
    "❯": ">",
    "—": "-",
    "▶": ">",
    "▸": ">",
    "▲": "^",
    "▼": "v",
    "◀": "<",
    "°": "C",
    "↓": "v",
    "↑": "^",
    "↻": "R",
    "↵": "/",
    "‖": "=",
    "≈": "~",
    "≠": "!",
    "▤": "#",
    "⇄": "=",
    "◆": "*",
}
_HORIZONTAL = "─━┄┅┈┉╌╍═╴╶╸╺╼╾"
_VERTICAL = "│┃┆┇┊┋╎╏║╵╷╹╻╽╿"


def _table() -> dict[int, str]:
    found = dict.fromkeys(range(9472, 9600), "+")
    found |= {ord(glyph): "-" for glyph in _HORIZONTAL}
    found |= {ord(glyph): "|" for glyph in _VERTICAL}
    found |= dict.fromkeys(range(9600, 9632), "#")
    found |= dict.fromkeys(range(10241, 10496), ":") | {0x2800: " "}
    return found | {ord(glyph): plain for glyph, plain in GLYPHS.items()}


_TABLE = _table()


def to_ascii(text: str) -> str:
    """`text` with what we draw replaced; what agents and people wrote in other scripts stays."""
    # A degree alone says which; before its C it would say it twice.
    return text if text.isascii() else text.replace("°C", " C").translate(_TABLE)


class Ascii(LineFilter):
    """Draws with ASCII, borders and titles of boxes too."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments with their characters replaced."""
        return [Segment(to_ascii(text), style, control) for text, style, control in segments]


class Colorless(LineFilter):
    """Sends no colour; bold, underlined and reversed text stays so."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments without their colours."""
        return [
            Segment(text, style.without_color if style is not None else None, control)
            for text, style, control in segments
        ]


ASCII = Ascii()
COLORLESS = Colorless()
