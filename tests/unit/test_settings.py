"""Settings: which source wins, where each value came from, and what is refused."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sparkplug.config import (
    Settings,
    config_file,
    export_settings,
    import_settings,
    load_settings,
    set_value,
)
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.settings import SettingsDocument
from sparkplug.shipped import shipped


class Host:
    """A home, a system folder and an environment of their own."""

    def __init__(self, folder: Path) -> None:
        self.system = folder / "etc"
        self.environ = {"HOME": str(folder), "SPARKPLUG_HOME": str(folder / "home")}
        self.file = config_file(self.environ)
        self.system.mkdir()
        self.file.parent.mkdir()

    def load(self, **flags: object) -> Settings:
        named = {key.replace("__", "."): value for key, value in flags.items()}
        return load_settings(named, self.environ, system=self.system)

    def refusal(self, **flags: object) -> list[str]:
        with pytest.raises(InvalidError) as caught:
            self.load(**flags)
        assert caught.value.exit_code == 2
        return str(caught.value).splitlines()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_built_in(host: Host) -> None:
    settings = host.load()
    assert settings.nats.max_store == 4 << 30
    assert settings.events.keep == 7 * 86400
    assert settings.node.name
    assert {origin for _, _, origin in settings.items()} == {"built-in"}


def test_the_shipped_file_shows_every_key_with_its_built_in_value() -> None:
    text = (shipped("config") / "sparkplug.toml").read_text()
    shown = tomllib.loads(re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE))
    built_in = SettingsDocument()
    assert SettingsDocument.model_validate(shown | {"node": {}}) == built_in
    for section in SettingsDocument.model_fields:
        assert set(shown[section]) == set(getattr(built_in, section).model_dump()), section


def test_later_sources_win_and_are_named(host: Host) -> None:
    (host.system / "10-base.toml").write_text("[nats]\nport = 1\nmax_store = '1GiB'\n")
    (host.system / "20-more.toml").write_text("[nats]\nport = 2\nserver = '/opt/n'\n")
    host.file.write_text("# mine\n[nats]\n\nport = 3\ncreds = 'c'\n[tui]\ntheme = 'daylight'\n")
    host.environ |= {"SPARKPLUG_NATS_PORT": "4", "SPARKPLUG_TUI_MOUSE": "no"}
    settings = host.load(nats__port=5, tui__theme=None)
    found = {name: (value, origin) for name, value, origin in settings.items()}
    assert found["nats.port"] == (5, "flag")
    assert found["nats.max_store"] == (1 << 30, f"{host.system}/10-base.toml:3")
    assert found["nats.server"] == ("/opt/n", f"{host.system}/20-more.toml:3")
    assert found["nats.creds"] == ("c", f"{host.file}:5")
    assert found["tui.theme"] == ("daylight", f"{host.file}:7")
    assert found["tui.mouse"] == (False, "environment SPARKPLUG_TUI_MOUSE")
    assert found["agents.log_keep"] == (3, "built-in")
    assert (host.load().nats.port, host.load().origin("nats.port")) == (
        4,
        "environment SPARKPLUG_NATS_PORT",
    )


def test_tables_grow_by_entry(host: Host) -> None:
    (host.system / "a.toml").write_text('[tui.keymap]\n"agents.stop" = "x"\n"app.help" = "h"\n')
    host.file.write_text('[tui]\nkeymap = {"app.help" = "f1"}\n')
    host.environ["SPARKPLUG_NODE_LABELS"] = "gpu=h100, rack=4"
    settings = host.load()
    assert settings.tui.keymap == {"agents.stop": "x", "app.help": "f1"}
    assert settings.get("tui.keymap.agents.stop") == "x"
    assert settings.origin("tui.keymap.agents.stop") == f"{host.system}/a.toml:2"
    assert settings.origin("tui.keymap.app.help") == f"{host.file}:2"
    assert settings.node.labels == {"gpu": "h100", "rack": "4"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("nats.port = 7\n", 1),
        ("\nnats = {creds = 'x', port = 7}\n", 2),
        ("[tui]\ntheme = '''\n[nats]\nport = 1'''\n[nats]\nport = 7\n", 6),
        ("[ 'nats' ]\n  \"port\" = 7\n", 2),
    ],
)
def test_the_line_of_a_value_however_it_is_written(host: Host, text: str, line: int) -> None:
    host.file.write_text(text)
    settings = host.load()
    assert (settings.nats.port, settings.origin("nats.port")) == (7, f"{host.file}:{line}")


def test_every_problem_of_every_source_is_told(host: Host) -> None:
    (host.system / "a.toml").write_text("[nats]\nport = true\nmax_stor = '1GiB'\n[natz]\n")
    host.file.write_text("[agents]\nready_timeout = 'soon'\n  log_keep = -1\n")
    host.environ |= {
        "SPARKPLUG_NATS_PROT": "1",
        "SPARKPLUG_NATS_PORT": "many",
        "SPARKPLUG_TUI_MOUSE": "maybe",
        "SPARKPLUG_URL": "nats://h:1",
        "SPARKPLUG_CONTEXT": "work",
        "SPARKPLUG_AGENT_NAME": "not a section, not ours to judge",
    }
    said = host.refusal(telemetry__period="0s")
    assert sorted(said) == sorted(
        [
            f"{host.system}/a.toml:2:1: nats.port: expected a whole number, got true",
            f"{host.system}/a.toml:3:1: unknown key max_stor in nats, did you mean max_store?",
            f"{host.system}/a.toml:4:2: unknown key natz, did you mean nats?",
            f"{host.file}:2:1: agents.ready_timeout: a duration is a number with a unit, "
            "like 30s, 5m or 1h30m",
            f"{host.file}:3:3: agents.log_keep: must be at least 0",
            "environment SPARKPLUG_NATS_PORT: nats.port: expected a whole number, got text",
            "environment SPARKPLUG_NATS_PROT: no such setting, did you mean SPARKPLUG_NATS_PORT?",
            "environment SPARKPLUG_TUI_MOUSE: tui.mouse: expected true or false",
            "flag: telemetry.period: must be at least 0.1",
        ]
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[nats\n", ":1:6: not valid TOML: "),
        (b"[nats]\nport = 1\nport = 2\n", ":3:9: not valid TOML: "),
        (b"[nats]\n# \xff\n", ":2:3: not UTF-8 text"),
        (b"nats = 3\n", ":1:1: nats: expected keys with values, got the number 3"),
        (b"x = " + b"[" * 3000, ":1:1: nested too deeply"),
        (b"[nats]\nurl = 'h:4222'\n", ":2:1: nats.url: expected a NATS URL, like nats://host:4222"),
        (b"[llm]\napi_key_env = 'sk-1-2'\n", ":2:1: llm.api_key_env: does not have the form "),
    ],
)
def test_files_that_do_not_hold(host: Host, text: bytes, said: str) -> None:
    host.file.write_bytes(text)
    (line, *_) = host.refusal()
    assert line.startswith(f"{host.file}{said}")
    assert "sk-1-2" not in line


def test_a_file_holds_no_secret_but_the_environment_may(host: Host) -> None:
    url = "nats://user:secret@host:4222"
    host.environ["SPARKPLUG_NATS_URL"] = url
    settings = host.load()
    assert settings.nats.url == url
    assert "secret" not in export_settings(settings)
    host.file.write_text(f"[nats]\nurl = '{url}'\n")
    (line,) = host.refusal()
    assert "a file holds no secrets" in line
    assert url not in line


def test_no_such_flag_or_setting(host: Host) -> None:
    assert "no setting nats.prot, did you mean nats.port?" in host.refusal(nats__prot=1)[0]
    for name in ("nats", "nats.port.x", "", "x.y"):
        with pytest.raises(InvalidError, match=f"no setting {name}"):
            host.load().get(name)


def test_where_the_file_is(tmp_path: Path) -> None:
    home = {"HOME": "/home/u"}
    assert config_file(home) == Path("/home/u/.config/sparkplug/config.toml")
    moved = home | {"XDG_CONFIG_HOME": "/c"}
    assert config_file(moved) == Path("/c/sparkplug/config.toml")
    assert config_file(home | {"XDG_CONFIG_HOME": "relative"}) == config_file(home)
    assert config_file(moved | {"SPARKPLUG_HOME": str(tmp_path)}) == tmp_path / "config.toml"


def test_a_setting_can_name_the_state_folder(host: Host, tmp_path: Path) -> None:
    host.environ = {"HOME": str(tmp_path), "SPARKPLUG_NODE_STATE": str(tmp_path / "elsewhere")}
    assert host.load().paths.home == tmp_path / "elsewhere"
    host.environ["SPARKPLUG_HOME"] = str(tmp_path / "first")
    assert host.load().paths.home == tmp_path / "first"


def test_set_keeps_comments_and_order(host: Host) -> None:
    host.file.write_text("# mine\n[nats]\nport = 1  # why\n\n[tui]\ntheme = 'neon'\n")
    set_value(host.file, "nats.port", "4222")
    set_value(host.file, "nats.max_store", "2GiB")
    set_value(host.file, "tui.keymap.agents.stop", "x")
    assert host.file.read_text().startswith("# mine\n[nats]\nport = 4222  # why\n")
    settings = host.load()
    assert (settings.nats.port, settings.nats.max_store) == (4222, 2 << 30)
    assert settings.tui.keymap == {"agents.stop": "x"}
    assert stat.S_IMODE(host.file.stat().st_mode) == 0o600
    assert list(host.file.parent.iterdir()) == [host.file]


@pytest.mark.parametrize(
    ("key", "value"),
    [("nats.port", "99999"), ("nats.port", "x"), ("nats.prot", "1"), ("tui.mouse", "perhaps")],
)
def test_set_writes_nothing_that_does_not_hold(host: Host, key: str, value: str) -> None:
    host.file.write_text("[nats]\nport = 1\n")
    with pytest.raises(InvalidError):
        set_value(host.file, key, value)
    assert host.file.read_text() == "[nats]\nport = 1\n"


def test_set_makes_the_file_and_repairs_a_wrong_value(host: Host) -> None:
    set_value(host.file, "tui.mouse", "off")
    assert host.load().tui.mouse is False
    host.file.write_text("[nats]\nport = 'many'\n")
    set_value(host.file, "nats.port", "5")
    assert host.load().nats.port == 5


def test_set_refuses_a_broken_file(host: Host) -> None:
    host.file.write_text("[nats\n")
    with pytest.raises(InvalidError, match=r":1:6: not valid TOML"):
        set_value(host.file, "nats.port", "5")
    assert host.file.read_text() == "[nats\n"


def test_set_follows_a_link(host: Host, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text("")
    host.file.symlink_to(real)
    set_value(host.file, "nats.port", "5")
    assert host.file.is_symlink()
    assert tomllib.loads(real.read_text()) == {"nats": {"port": 5}}


def test_export_and_import(host: Host, tmp_path: Path) -> None:
    host.environ |= {"SPARKPLUG_NATS_PORT": "7", "SPARKPLUG_AGENTS_READY_TIMEOUT": "1500ms"}
    exported = export_settings(host.load(tui__keymap={"agents.stop": "x"}))
    assert tomllib.loads(exported) == {
        "nats": {"port": 7},
        "agents": {"ready_timeout": 1.5},
        "tui": {"keymap": {"agents.stop": "x"}},
    }
    other = tmp_path / "other" / "config.toml"
    names = import_settings(exported, other)
    assert names == ["nats.port", "agents.ready_timeout", "tui.keymap.agents.stop"]
    environ = {"HOME": str(tmp_path), "SPARKPLUG_HOME": str(other.parent)}
    again = load_settings({}, environ, system=tmp_path / "none")
    assert export_settings(again) == exported


def test_import_is_whole_or_nothing(host: Host) -> None:
    host.file.write_text("[nats]\nport = 1\n")
    with pytest.raises(InvalidError, match=r"<stdin>:3:1: unknown key them in tui, did you mean t"):
        import_settings("nats.port = 2\n[tui]\nthem = 'neon'\n", host.file)
    assert host.file.read_text() == "[nats]\nport = 1\n"


def test_importing_settings_pulls_in_nothing_heavy() -> None:
    script = (
        "import sys, sparkplug.config, sparkplug.schema.documents, sparkplug.schema.plan_check;"
        "sparkplug.config.load_settings();"
        "print([m for m in ('ruamel', 'jinja2', 'tomlkit', 'nats', 'textual', 'difflib')"
        " if any(n == m or n.startswith(m + '.') for n in sys.modules)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_named_models_are_set_key_by_key_and_shown_without_a_key(host: Host) -> None:
    for key, text in (
        ("llm.models.gpt-4.1.endpoint", "http://127.0.0.1:8000/v1/"),
        ("llm.models.gpt-4.1.context", "8192"),
        ("llm.models.gpt-4.1.abilities", "tools, vision"),
        ("llm.models.gpt-4.1.api_key_env", "BIG_KEY"),
    ):
        set_value(host.file, key, text)
    settings = host.load()
    model = settings.llm.models["gpt-4.1"]
    assert (model.endpoint, model.context) == ("http://127.0.0.1:8000/v1", 8192)
    assert model.abilities == ["tools", "vision"]
    assert settings.get("llm.models.gpt-4.1.context") == 8192
    assert settings.origin("llm.models.gpt-4.1.context").startswith(str(host.file))
    assert "8192" in export_settings(settings)
    with pytest.raises(InvalidError, match="nothing was written"):
        set_value(host.file, "llm.models.gpt-4.1.api_key_env", "sk-1-2")
    with pytest.raises(
        InvalidError, match=r"llm\.models\.gpt-4\.1\.api_key, did you mean api_key_"
    ):
        set_value(host.file, "llm.models.gpt-4.1.api_key", "sk-1-2")
    with pytest.raises(InvalidError, match=r"no setting llm\.modles"):
        settings.get("llm.modles.x.endpoint")


def test_a_model_that_is_nowhere_is_refused_with_its_line(host: Host) -> None:
    host.file.write_text("[llm.models.big]\nmodel = 'x'\n")
    assert ":1:2: llm.models.big: endpoint is missing" in host.refusal()[0]
    host.file.write_text("[llm.models.big]\nendpoint = 'http://x'\nabilitys = []\n")
    assert "did you mean abilities" in host.refusal()[0]
