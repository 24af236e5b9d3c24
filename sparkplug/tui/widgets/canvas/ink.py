"""Lines of three weights and where they meet, as characters; tips of arrows."""

from __future__ import annotations

from sparkplug.tui.widgets.canvas.model import Weight

#: The sides of a cell, as the places of a number with four digits to the base four. A digit is
#: the weight of the line that leaves the cell on that side.
UP, RIGHT, DOWN, LEFT = 1, 4, 16, 64
SIDES = (UP, RIGHT, DOWN, LEFT)
ACROSS, UPRIGHT = RIGHT + LEFT, UP + DOWN
WEIGHTS: dict[Weight, int] = {"light": 1, "heavy": 2, "double": 3}
#: Tips by the side they point to.
TIPS = {UP: "▲", RIGHT: "▶", DOWN: "▼", LEFT: "◀"}

# Unicode's box drawing by that number. Where it has no such meeting of a double line with others,
# the double one is heavy there.
_LINES = (
    " │┃║─╰┖╙━┕┗┗═╘┗╚││╿╿╭├┞┞┍┝┡┡╒╞┡┡"
    "┃╽┃┃┎┟┠┠┏┢┣┣┏┢┣┣║╽┃║╓┟┠╟┏┢┣┣╔┢┣╠"
    "─╯┚╜─┴┸╨╼┶┺┺╼┶┺┺╮┤┦┦┬┼╀╀┮┾╄╄┮┾╄╄"
    "┒┧┨┨┰╁╂╂┲╆╊╊┲╆╊╊╖┧┨╢╥╁╂╫┲╆╊╊┲╆╊╊"
    "━┙┛┛╾┵┹┹━┷┻┻━┷┻┻┑┥┩┩┭┽╃╃┯┿╇╇┯┿╇╇"
    "┓┪┫┫┱╅╉╉┳╈╋╋┳╈╋╋┓┪┫┫┱╅╉╉┳╈╋╋┳╈╋╋"
    "═╛┛╝╾┵┹┹━┷┻┻═╧┻╩╕╡┩┩┭┽╃╃┯┿╇╇╤╪╇╇"
    "┓┪┫┫┱╅╉╉┳╈╋╋┳╈╋╋╗┪┫╣┱╅╉╉┳╈╋╋╦╈╋╬"
)


def line(number: int) -> str:
    """The character of a cell whose lines leave it so."""
    return _LINES[number]


def joined(one: int, other: int) -> int:
    """Two lines in one cell that belong together: on each side the heavier."""
    if one == other:
        return one
    return sum(side * max(one // side % 4, other // side % 4) for side in SIDES)


def crosses(one: int, other: int) -> bool:
    """Whether one goes straight across and the other straight up."""
    return (not one % 4 and not one // DOWN % 4 and not other // RIGHT % 4 and other < LEFT) or (
        not other % 4 and not other // DOWN % 4 and not one // RIGHT % 4 and one < LEFT
    )


def upright(number: int) -> bool:
    """Whether nothing leaves it to the sides."""
    return not number // RIGHT % 4 and number < LEFT
