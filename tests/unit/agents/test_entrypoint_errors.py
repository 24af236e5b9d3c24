"""What is wrong with an agent's code is told with its place in that code."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkplug.agents.entrypoint import load_entrypoint
from sparkplug.schema.errors import InvalidError


@pytest.mark.parametrize(
    ("code", "line", "says"),
    [
        ("ok = 1\ndef broken(:\n    pass\n", 2, "SyntaxError"),
        ("def f():\n    pass\n      x = 1\n", 3, "IndentationError"),
        ("ok = 1\n1 / 0\n", 2, "ZeroDivisionError"),
        ("from json import nothing_there\n", 1, "ImportError"),
    ],
)
def test_the_place_is_in_the_authors_file(
    tmp_path: Path, code: str, line: int, says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    module = f"broken_{says.lower()}"
    (tmp_path / f"{module}.py").write_text(code)
    with pytest.raises(InvalidError, match=says) as told:
        load_entrypoint(f"{module}:handle", [str(tmp_path)])
    assert told.value.where == f"{tmp_path}/{module}.py:{line}"
    assert "Traceback" in capfd.readouterr().err
