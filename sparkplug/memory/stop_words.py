"""Words that say nothing of what a text is about. A room of its own: it needs no library."""

from __future__ import annotations

STOP_WORDS = frozenset(
    """
    a an and any are as at be been but by can could did do does for from had has
    have he her him his how i if in into is it its just may me might more most my
    no not of on one or our out own s she should so some such t than that the
    their them then there these they this those to too up us very was we were what
    when where which while who whom why will with would you your
    """.split()  # noqa: SIM905
)
