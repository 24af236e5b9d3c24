"""The meshes one works with, by name."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from pydantic import ValidationError

from sparkplug.client.session import locate
from sparkplug.config import Settings, load_settings
from sparkplug.contexts import (
    add_context,
    contexts_file,
    load_contexts,
    remove_context,
    use_context,
)
from sparkplug.schema.contexts import ContextEntry
from sparkplug.schema.errors import (
    ConflictError,
    InvalidError,
    NoMeshError,
    NotFoundError,
    RefusedError,
)

LAB = ContextEntry(url="nats://lab:4222", description="the lab")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"SPARKPLUG_HOME": str(tmp_path)}


@pytest.fixture
def settings(environ: dict[str, str]) -> Settings:
    return load_settings(environ=environ)


def test_the_mesh_of_this_host_is_always_there(settings: Settings, environ: dict[str, str]) -> None:
    found = load_contexts(settings, environ)
    assert list(found.all) == [found.current] == ["home"]
    assert found.choose().local


def test_added_used_and_forgotten(settings: Settings, environ: dict[str, str]) -> None:
    path = contexts_file(environ)
    path.write_text("# mine\n")
    add_context("lab", LAB, settings, environ)
    add_context("other", ContextEntry(url="nats://other:4222"), settings, environ)
    assert path.read_text().startswith("# mine\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    use_context("lab", settings, environ)
    found = load_contexts(settings, environ)
    assert list(found.all) == ["home", "lab", "other"]
    chosen = found.choose()
    assert (chosen.name, chosen.url, chosen.creds, chosen.local) == (
        "lab",
        "nats://lab:4222",
        None,
        False,
    )
    assert load_contexts(settings, {**environ, "SPARKPLUG_CONTEXT": "other"}).current == "other"
    remove_context("lab", settings, environ)
    assert load_contexts(settings, environ).current == "home"
    use_context("other", settings, environ)
    use_context("home", settings, environ)
    assert load_contexts(settings, environ).choose().local


def test_what_cannot_be(tmp_path: Path, settings: Settings, environ: dict[str, str]) -> None:
    add_context("lab", LAB, settings, environ)
    before = contexts_file(environ).read_text()
    for name in ("lab", "home"):
        with pytest.raises(ConflictError):
            add_context(name, LAB, settings, environ)
    with pytest.raises(RefusedError):
        remove_context("home", settings, environ)
    for call in (use_context, remove_context):
        with pytest.raises(NotFoundError, match="did you mean lab"):
            call("labb", settings, environ)
    with pytest.raises(InvalidError, match="secret"):
        add_context("x", ContextEntry(url="nats://a:b@lab:4222"), settings, environ)
    with pytest.raises(InvalidError):
        add_context("no name", LAB, settings, environ)
    creds = tmp_path / "lab.creds"
    entry = ContextEntry(url="nats://lab:4222", creds=str(creds))
    with pytest.raises(NotFoundError):
        add_context("x", entry, settings, environ)
    creds.write_text("secret")
    creds.chmod(0o640)
    with pytest.raises(RefusedError, match="read by others"):
        add_context("x", entry, settings, environ)
    assert contexts_file(environ).read_text() == before


@pytest.mark.parametrize(
    "text",
    [
        "contexts = 3",
        "[contexts.lab]",
        '[contexts.lab]\nurl = "http://lab"',
        '[contexts.lab]\nurl = "nats://lab"\ncred = "x"',
        '[contexts.lab]\nurl = "nats://a:b@lab"',
        "[contexts",
    ],
)
def test_a_file_that_does_not_hold_is_told_by_name(
    settings: Settings, environ: dict[str, str], text: str
) -> None:
    contexts_file(environ).write_text(text)
    with pytest.raises(InvalidError) as told:
        load_contexts(settings, environ)
    assert "contexts.toml" in str(told.value)


def test_a_context_elsewhere_takes_no_credentials_of_ours(
    tmp_path: Path, settings: Settings, environ: dict[str, str]
) -> None:
    settings.paths.keys.mkdir(parents=True)
    (settings.paths.keys / "face.creds").write_text("ours")
    add_context("lab", LAB, settings, environ)
    known = load_contexts(settings, environ)
    elsewhere = {**environ, "SPARKPLUG_URL": "nats://elsewhere:4222"}
    lab = locate(None, settings.paths, settings, elsewhere, context=known.choose("lab"))
    assert (lab.url, lab.creds, lab.private) == ("nats://lab:4222", None, False)
    assert locate(None, settings.paths, settings, elsewhere).url == "nats://elsewhere:4222"
    with pytest.raises(NoMeshError):
        locate(None, settings.paths, settings, elsewhere, context=known.choose("home"))
    creds = tmp_path / "lab.creds"
    creds.write_text("theirs")
    creds.chmod(0o600)
    entry = ContextEntry(url="nats://lab:4222", creds=str(creds))
    add_context("lab2", entry, settings, environ)
    chosen = load_contexts(settings, environ).choose("lab2")
    assert locate(None, settings.paths, settings, environ, context=chosen).creds == creds
    creds.chmod(0o644)
    with pytest.raises(RefusedError):
        locate(None, settings.paths, settings, environ, context=chosen)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("lab:4222", "expected a NATS URL, like nats://host:4222"),
        ("nats://lab:99999", "not a NATS URL: Port out of range 0-65535"),
        ("nats://:4222", "names a host"),
        ("nats://lab:0", "above 0"),
        ("nats://[::1:4222", "not a NATS URL"),
        ("nats://lab:4222,nats://", "expected a NATS URL"),
    ],
)
def test_an_address_that_is_none_is_told_once(url: str, told: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(told)) as refused:
        ContextEntry(url=url)
    assert "url: " not in refused.value.errors()[0]["msg"]
