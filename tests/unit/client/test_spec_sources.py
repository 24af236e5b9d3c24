"""What a spec begins from, how it is saved, and the page an editor is given."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from sparkplug.client import spec_page
from sparkplug.client.editing import check_text
from sparkplug.client.spec_sources import examples, read_source, save_spec
from sparkplug.schema.agent import DesiredAgent
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.agent_text import read_agent_text
from sparkplug.schema.errors import InvalidError, SparkplugError

SPEC = AgentSpec(name="mine", entrypoint="m:f")


def test_a_copy_has_a_free_name_and_the_folder_of_the_other() -> None:
    wanted = {
        "mine": DesiredAgent(spec=SPEC, folder="/srv/mine"),
        "mine-2": DesiredAgent(spec=SPEC),
    }
    found = read_source("copy of mine", wanted)
    assert found.spec is not None
    assert (found.spec.name, found.folder) == ("mine-3", "/srv/mine")
    with pytest.raises(SparkplugError, match="no agent other"):
        read_source("copy of other", wanted)


def test_every_example_can_be_begun_from() -> None:
    assert examples()
    for name in examples():
        found = read_source(f"example {name}", {})
        assert found.spec is not None
        assert found.spec.name == name
        assert Path(found.folder).is_dir()


def test_nothing_new_and_a_path_that_is_not_there(tmp_path: Path) -> None:
    for words in ("", " ", "new"):
        assert read_source(words, {}).spec is None
    with pytest.raises(SparkplugError, match="no such file"):
        read_source(str(tmp_path / "gone.yaml"), {})


def test_a_file_is_written_whole_and_replaces_none_unasked(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    assert save_spec(SPEC, file, replace=False)
    assert read_agent_text(file.read_text()) == SPEC
    other = SPEC.model_copy(update={"replicas": 2})
    assert not save_spec(other, file, replace=False)
    assert read_agent_text(file.read_text()) == SPEC
    assert save_spec(other, file, replace=True)
    assert read_agent_text(file.read_text()) == other
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["mine.yaml"]
    with pytest.raises(SparkplugError, match="cannot write"):
        save_spec(SPEC, tmp_path / "gone" / "mine.yaml", replace=False)


def test_a_page_gives_back_the_text_it_was_made_of() -> None:
    body = "name: mine\n# a comment of its own\nentrypoint: m:f\n"
    for note in ("", "wrong here\n  and so", "a\n\nb"):
        page = spec_page.page_text("mine", 7, body, note)
        assert spec_page.body_of(page) == body
        assert "revision 7" in page


def test_a_complaint_names_places_below_itself() -> None:
    body = "name: mine\nentrypoint: m:f\nreplicas: many\n"
    with pytest.raises(InvalidError) as raised:
        check_text(body)
    note = spec_page.complaint(raised.value, "mine", 7, body, "mine.yaml")
    page = spec_page.page_text("mine", 7, body, note)
    place = next(line for line in page.splitlines() if "mine.yaml:" in line).split("mine.yaml:")[1]
    number = int(place.split(":")[0])
    assert page.splitlines()[number - 1] == "replicas: many"


@pytest.mark.parametrize("words", ["~nobody-here/x", "/" + "x" * 5000, "/\0", "example ../..", "/"])
def test_no_words_however_odd_raise_anything_else(words: str) -> None:
    with pytest.raises(SparkplugError):
        read_source(words, {})
    with pytest.raises(SparkplugError):
        save_spec(SPEC, Path("/\0" if words == "/" else words) / "x", replace=False)
