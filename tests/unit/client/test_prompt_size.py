"""A prompt that is too large is refused before it is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkplug.client.prompts import check_size
from sparkplug.schema.errors import InvalidError, NotFoundError

LIMIT = 1 << 20


def test_text_that_fits_passes_and_ten_megabytes_do_not() -> None:
    check_size("hello", [], LIMIT, "a/0")
    with pytest.raises(InvalidError, match=f"at most {LIMIT}") as caught:
        check_size("x" * 10_000_000, [], LIMIT, "a/0")
    assert (caught.value.exit_code, caught.value.where) == (2, "a/0")


def test_files_count_in_base64(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(bytes(LIMIT * 3 // 4 - 4096))
    check_size("", [file], LIMIT, "a/0")
    file.write_bytes(bytes(LIMIT * 3 // 4))
    with pytest.raises(InvalidError):
        check_size("", [file], LIMIT, "a/0")


def test_what_cannot_be_attached(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        check_size("", [tmp_path / "missing"], LIMIT, "a/0")
    with pytest.raises(InvalidError, match="folder"):
        check_size("", [tmp_path], LIMIT, "a/0")
