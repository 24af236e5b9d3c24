"""Jinja2's sandbox, in which a template also cannot take more memory or time than it may.

All that makes text or lists, and each round of a loop, is paid for out of what one rendering may
spend: what could grow beyond its parts before it is made, all else once it is.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, cast

from jinja2 import StrictUndefined, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

#: Characters and values that one rendering may make on its way; and what a round of a loop costs.
MOST = 4_000_000
_ROUND = 20
_MAX_BASE, _MAX_EXPONENT = 1 << 20, 256
_NUMBER = re.compile(r"\d+")
#: What says in a text how a value is written.
_SPEC = re.compile(r"%(?:\([^)]*\))?[-#0 +.\d]*|\{[^{}]*\}")
#: A width that is computed: `%*d`, `{:{width}}`.
_COMPUTED = re.compile(r"%[^a-zA-Z%]*\*|\{[^{}]*:[^{}]*\{")
_WIDTHS = frozenset({"center", "ljust", "rjust", "zfill"})
_MULTIPLYING = frozenset({"indent", "wordwrap", "batch", "slice", "tojson", "expandtabs"})
#: Methods of texts and numbers that no template needs, whose results are of any size.
_REFUSED = frozenset({"translate", "to_bytes"})

_left: ContextVar[int] = ContextVar("_left", default=MOST)


def begin_rendering() -> None:
    """From here on everything may be spent anew."""
    _left.set(MOST)


def spend(size: int) -> None:
    """Pay for so many characters or values. Raises OverflowError when that is too much."""
    left = _left.get() - size
    if left < 0:
        raise OverflowError(f"takes more than {MOST} characters or rounds on its way")
    _left.set(left)


class Sandbox(ImmutableSandboxedEnvironment):
    """The sandbox, in which everything is paid for. What cannot be raises OverflowError."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self, finalize: Callable[[Any], Any]) -> None:
        # Not optimized: nothing is computed when a template is compiled, out of any count.
        super().__init__(
            undefined=StrictUndefined, autoescape=False, finalize=finalize, optimized=False
        )
        for name in ("lipsum", "cycler", "joiner"):
            self.globals.pop(name, None)
        self.filters = {name: _paid(name, made) for name, made in self.filters.items()}
        self.filters["_rounds"] = _rounds
        self.filters["_kept"] = _kept

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute, as far as the result stays of a sane size."""
        if operator == "**":
            if abs(left) > _MAX_BASE or abs(right) > _MAX_EXPONENT:
                raise OverflowError(f"{left} ** {right} is too large for a template")
        elif operator == "*":
            for sized, count in ((left, right), (right, left)):
                if isinstance(sized, str | list | tuple) and isinstance(count, int):
                    spend(len(sized) * max(0, count))
        elif operator == "%" and isinstance(left, str):
            _pay_format(left)
        elif operator == "+" and isinstance(left, str | list | tuple):
            spend(_size(left) + _size(right))
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Call a method or a macro, and pay for what it gives."""
        method = getattr(__obj, "__wrapped__", __obj)
        owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
        if isinstance(owner, str | int | float):
            if name in _REFUSED:
                raise OverflowError(f"{name} is too much for a template")
            _pay_before(name, owner, args, kwargs)
        found = super().call(__context, __obj, *args, **kwargs)
        spend(_size(found))
        return found

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`a.b` of an object from JSON is its key b, also where Python's dict has a method b."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        return super()._generate(_Counted().visit(source), *args, **kwargs)


class _Counted(NodeTransformer):
    """Has loops and `~` pass by a filter that counts."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802
        """Each round is paid for."""
        self.generic_visit(node)
        node.iter = _filter(node.iter, "_rounds", node)
        return node

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> nodes.AssignBlock:  # noqa: N802
        """What is kept is paid for."""
        self.generic_visit(node)
        node.filter = _filter(node.filter, "_kept", node)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        """`a ~ b` is `[a, b] | join`."""
        self.generic_visit(node)
        every = nodes.List(node.nodes, lineno=node.lineno, environment=node.environment)
        return _filter(every, "join", node)


def _filter(of: nodes.Node | None, name: str, at: nodes.Node) -> nodes.Filter:
    where = {"lineno": at.lineno, "environment": at.environment}
    return nodes.Filter(cast("nodes.Expr | None", of), name, [], [], None, None, **where)


def _kept(text: str) -> str:
    spend(len(text))
    return text


def _rounds(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        spend(_ROUND)
        yield value


def _paid(name: str, made: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that pays for what it gives, before where that may be more than what it takes."""
    first = int(hasattr(made, "jinja_pass_arg"))

    @functools.wraps(made)
    def run(*args: Any, **kwargs: Any) -> Any:
        args = (*args[:first], *_still(name, args[first:]))
        if len(args) > first:
            _pay_before(name, args[first], args[first + 1 :], kwargs)
        found = made(*args, **kwargs)
        spend(_size(found))
        return found

    return run


def _still(name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """What is joined or listed as a list, each value of it paid for."""
    if name in ("join", "list", "sort", "sum", "tojson") and args and isinstance(args[0], Iterator):
        return ([*_rounds(args[0])], *args[1:])
    return args


def _pay_before(name: str, value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    given = (*args, *kwargs.values())
    numbers = sum(one for one in given if isinstance(one, int) and one > 0)
    texts = sum(len(one) for one in given if isinstance(one, str))
    if name in _WIDTHS:
        spend(numbers)
    elif name in _MULTIPLYING:
        spend((numbers + texts) * (1 + _size(value)) if numbers + texts > 1 else 0)
    elif name in ("format", "format_map") and isinstance(value, str):
        _pay_format(value)
        spend(value.count("{") * sum(_size(one) for one in given))
    elif name == "replace":
        old = len(str(given[0])) if given else 1
        spend(_size(value) // max(1, old) * (len(str(given[1])) if len(given) > 1 else 0))
    elif name == "join":
        parts = given[0] if isinstance(value, str) and given else value
        glue = len(value) if isinstance(value, str) and given else texts
        if isinstance(parts, list | tuple):
            spend(sum(_size(one) + glue for one in parts))


def _pay_format(text: str) -> None:
    if _COMPUTED.search(text):
        raise OverflowError("a width that is computed is too much for a template")
    for number in _NUMBER.findall(" ".join(_SPEC.findall(text))):
        spend(int(number[:9]) if len(number) < 10 else MOST + 1)


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple | dict | set) else 1
