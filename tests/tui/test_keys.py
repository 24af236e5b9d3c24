"""Keys, palette, `:` line, filter and help, over a real bus."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tui_centre import Centre, centre
from tui_mesh import Mesh, sample

from fakes.mesh import Asked, HostedAgents
from sparkplug.actions.registry import ACTIONS

SIZES = [(80, 24), (160, 50)]


@pytest.fixture
async def seen(mesh: Mesh) -> AsyncIterator[Centre]:
    """A control centre with three agents on it."""
    for name in ("critic", "scribe", "sentinel"):
        await mesh.agent(name, served=3)
    async with centre((80, 24)) as found:
        await found.shows("critic", "sentinel")
        yield found


async def test_panes_by_key_palette_and_line(seen: Centre) -> None:
    for key, word in (("2", "hosts 1"), ("3", "rep"), ("1", "conversation")):
        await seen.press(key)
        await seen.shows(word)
    await seen.press("ctrl+p")
    await seen.type("show ho")
    await seen.press("enter")
    await seen.shows("▸ hosts")
    await seen.press("colon")
    await seen.type("agents")
    await seen.press("enter")
    await seen.shows("▸ agents", "rep")
    await seen.press("escape")
    await seen.shows("▸ overview")


async def test_palette_puts_what_fits_first_and_says_why_not(seen: Centre) -> None:
    await seen.press("f2")
    await seen.shows("Restart agent critic", "Undo change of agent critic")
    rows = seen.screen.splitlines()
    assert "Describe critic" in rows[4]
    await seen.type("start agent cr")
    await seen.shows("Start agent critic", "it runs already")
    await seen.press("escape")
    await seen.press("ctrl+p")
    await seen.type("start agent c")
    await seen.press("down", "up")
    await seen.shows("Restart agent critic")


async def test_palette_asks_for_what_is_missing(seen: Centre, mesh: Mesh) -> None:
    await seen.press("n")
    await seen.shows("replicas:")
    await seen.type("two")
    await seen.press("enter")
    await seen.shows("is not a whole number")
    for _ in range(3):
        await seen.press("backspace")
    await seen.type("2")
    await seen.press("enter")

    async def scaled() -> bool:
        return (await mesh.desired("critic")).spec.replicas == 2

    await seen.becomes(scaled)


async def test_danger_is_asked_about_and_no_means_no(seen: Centre, mesh: Mesh) -> None:
    await seen.press("ctrl+d")
    await seen.shows("Remove agent", "y yes", "n no")
    await seen.press("enter")
    await seen.shows("y yes")
    await seen.press("n")
    await seen.shows("agents 3")
    await seen.press("r")
    await seen.shows("replace the processes of critic")
    await seen.press("y")

    async def restarted() -> bool:
        return (await mesh.desired("critic")).generation == 2

    await seen.becomes(restarted)


async def test_the_line_does_what_the_cli_does_and_remembers(seen: Centre, mesh: Mesh) -> None:
    await seen.press("colon")
    await seen.type("agents res")
    await seen.press("tab")
    await seen.type("scr")
    await seen.shows("scribe")
    await seen.press("tab")
    await seen.type("sentinel --no-wait")
    await seen.press("enter")
    await seen.shows("scribe", "sentinel", "y yes")
    await seen.press("y")

    async def both() -> bool:
        found = [await mesh.desired(name) for name in ("scribe", "sentinel")]
        return [one.generation for one in found] == [2, 2]

    await seen.becomes(both)
    assert (await mesh.desired("critic")).generation == 1
    await seen.press("colon", "up")
    await seen.shows("agents restart scribe sentinel --no-wait")
    await seen.press("escape")


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("agents restrt", "did you mean agents restart?"),
        ("agents scale critic many", "is not a whole number"),
        ("agents stop critic --sometimes", "no option --sometimes"),
        ("theme", "no command theme"),
    ],
)
async def test_a_wrong_line_is_answered_in_words(seen: Centre, line: str, answer: str) -> None:
    await seen.press("colon")
    await seen.type(line)
    await seen.press("enter")
    await seen.shows(answer)


async def test_filter_regex_inverse_and_back(seen: Centre) -> None:
    await seen.press("3", "slash")
    await seen.type("^. s.*(el|be)")
    await seen.until(lambda: "agents" in seen.screen)
    await seen.press("ctrl+u")
    await seen.type("!s[ce]")
    await seen.press("enter")
    await seen.shows("agents 1 of 3 /!s[ce]", "critic")
    assert "scribe" not in seen.screen
    await seen.press("escape")
    await seen.shows("agents 3", "scribe")


async def test_a_filter_that_is_no_expression_is_searched_as_text(seen: Centre) -> None:
    await seen.press("3", "slash", "left_parenthesis")
    await seen.shows("(as text)", "nothing matches /(")
    await seen.press("escape")
    await seen.shows("agents 3")


async def test_cursor_stays_on_its_row_when_rows_come_and_go(seen: Centre, mesh: Mesh) -> None:
    await seen.press("3", "j")
    await seen.shows("▸scribe")
    await mesh.agent("answerer")
    await seen.shows("answerer", "▸scribe")
    await mesh.gone("critic")
    await seen.until(lambda: "critic" not in seen.screen)
    await seen.shows("▸scribe")
    await seen.press("G")
    await seen.shows("▸sentinel")
    await seen.press("g", "k")
    await seen.shows("▸answerer")


async def test_themes_change_what_is_painted(seen: Centre) -> None:
    dark = seen.app.pens["text"]
    await seen.press("colon")
    await seen.type("theme daylight")
    await seen.press("enter")
    await seen.until(lambda: seen.app.theme == "daylight")
    assert seen.app.pens["text"] != dark
    assert seen.app.screen.styles.background.hex.lower() == "#fbfaf7"


async def test_help_is_made_from_bindings_and_registry(seen: Centre) -> None:
    await seen.press("question_mark")
    await seen.shows("Restart agent critic", ":agents restart")
    await seen.press("pagedown")
    await seen.shows(":shell", "in this box")
    await seen.press("G")
    await seen.shows("short names")
    await seen.press("question_mark", "q")
    await seen.shows("agents 3")
    await seen.press("l", "question_mark")
    await seen.shows("follow the end", "in logs", "a page down")
    assert "Restart agent" not in seen.screen
    await seen.press("escape", "escape")
    await seen.shows("agents 3")


async def test_describe_logs_and_processes(seen: Centre, mesh: Mesh) -> None:
    mesh.logs["critic"] = "first line\nsecond line\n"
    await seen.press("d")
    await seen.shows("critic/0", "entrypoint: m:f", "tester")
    await seen.press("escape", "l")
    await seen.shows("first line", "second line")
    mesh.logs["critic"] += "third line\n"
    await seen.shows("third line")
    await seen.press("slash")
    await seen.type("!second")
    await seen.press("enter")
    await seen.until(lambda: "second line" not in seen.screen)
    await seen.shows("first line", "third line")
    await seen.press("escape", "escape")
    await mesh.tell(sample("gpu-1"))
    await seen.press("2", "d")
    await seen.shows("processes of gpu-1", "research/0")


async def test_a_prompt_streams_its_answer(seen: Centre, mesh: Mesh) -> None:
    hosted = HostedAgents(await mesh.server.connect("agents"))

    async def answer(asked: Asked) -> str:
        return f"you said {asked.text}"

    await hosted.host("critic", answer)
    await hosted.resolve()
    try:
        await seen.press("t")
        await seen.shows("text:")
        await seen.type("well done")
        await seen.press("enter")
        await seen.shows("critic/0 answers", "you said well done")
    finally:
        await hosted.close()


async def test_what_cannot_be_done_is_shown_with_its_way_out(seen: Centre, mesh: Mesh) -> None:
    await seen.press("t")
    await seen.shows("what to say")
    await seen.type("hello")
    await seen.press("enter")
    await seen.shows("Prompt agent", "sparkplug.agents.resolve")


async def test_readonly_takes_away_what_changes_the_mesh(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((80, 24), readonly=True) as seen:
        await seen.shows("critic")
        await seen.press("r")
        await seen.shows("--readonly")
        await seen.press("ctrl+p")
        await seen.type("agent")
        await seen.shows("Show agents")
        assert "Restart" not in seen.screen
        assert "Shell beside" not in seen.screen
        await seen.press("escape", "m")
        await seen.shows("Follow logs")
        assert "Restart" not in seen.screen
        assert "Shell beside" not in seen.screen
        await seen.press("escape", "colon")
        await seen.type("agents restart critic")
        await seen.shows("agents restart changes the mesh, and this was started with --readonly")
        assert "prompt" not in seen.screen
    assert (await mesh.desired("critic")).generation == 1


async def test_keys_can_be_remapped(mesh: Mesh) -> None:
    (mesh.server.folder / "config.toml").write_text(
        '[tui.keymap]\n"agents.restart" = "f7"\n"help" = "f9"\n'
    )
    await mesh.agent("critic")
    async with centre((80, 24)) as seen:
        await seen.shows("critic")
        await seen.press("f9")
        await seen.shows("f7")
        for _ in range(4):
            if "f9" not in seen.screen:
                await seen.press("pagedown")
        await seen.shows("f9")
        await seen.press("escape", "f7")
        await seen.shows("replace the processes")


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_text_is_only_text(mesh: Mesh, size: tuple[int, int]) -> None:
    evil = "\x1b[2J\x1b]0;owned\x07[bold red]x[/]\u202egpj.exe"
    await mesh.agent("critic", "error", reason=evil, description=evil, replica="0")
    await mesh.agent("claude", "idle", foreign=True, owner="ana", description=evil, sdk=evil)
    await mesh.event("agent:error", f"critic {evil}", reason=evil)
    mesh.logs["critic"] = f"line {evil}\n"
    async with centre(size) as seen:
        await seen.shows("[bold red]x[/]")
        for keys in (
            ("3",),
            ("G", "d"),
            ("escape", "g", "d"),
            ("escape", "l"),
            ("escape", "question_mark"),
        ):
            await seen.press(*keys)
            await seen.pilot.pause()
            for text in (seen.screen, seen.below):
                assert all(character.isprintable() or character == "\n" for character in text)
        await seen.press("escape", "g", "l")
        await seen.shows("line [bold red]x[/]")


@pytest.mark.parametrize("pane", ["overview", "hosts", "agents"])
async def test_no_size_breaks_it(mesh: Mesh, pane: str) -> None:
    await mesh.agent("critic")
    await mesh.tell(sample("gpu-1"))
    async with centre((80, 24), pane=pane) as seen:
        for size in ((20, 5), (1, 1), (250, 80), (40, 10), (80, 24)):
            await seen.pilot.resize_terminal(*size)
            await seen.pilot.pause()
            await seen.press("ctrl+p")
            await seen.pilot.pause()
            await seen.press("escape", "question_mark")
            await seen.pilot.pause()
            await seen.press("escape")
        await seen.shows("critic" if pane != "hosts" else "gpu-1")


async def test_every_command_of_the_registry_can_be_found(seen: Centre) -> None:
    titles = {command.action.id for command in seen.app.commands() if command.action}
    assert titles == set(ACTIONS)


async def test_remapped_keys_are_shown_and_what_is_wrong_is_told(mesh: Mesh) -> None:
    (mesh.server.folder / "config.toml").write_text(
        '[tui.keymap]\n"agents.stop" = "y"\n"agents.strat" = "f6"\n"logs" = "contrl+l"\n'
        '"quit" = "Z"\n"palette" = "f5"\n"describe" = "i"\n"filter" = "?"\n"help" = "f1"\n'
    )
    await mesh.agent("critic")
    async with centre((240, 30)) as seen:
        await seen.shows("4 in all, :notices shows them")
        await seen.shows("critic", "f5 palette", "Z quit", "? filter", "f1 help", "i describe")
        await seen.press("colon")
        await seen.type("notices")
        await seen.press("enter")
        await seen.shows(
            "there is no agents.strat, did you mean agents.start?",
            "logs: there is no key contrl+l",
            "agents.stop takes y from copy, which has no key now",
        )
        await seen.press("escape", "f5")
        await seen.type("quit")
        await seen.shows("Quit", "Z")
        await seen.press("escape", "f1")
        await seen.shows("Stop agent critic")
        for _ in range(12):
            if "help for where you stand" not in seen.screen:
                await seen.press("pagedown")
        await seen.shows("help for where you stand", "f1")
        await seen.press("escape", "question_mark")
        await seen.until(lambda: seen.screen.splitlines()[-1].startswith("/"))


async def test_vim_keys(mesh: Mesh) -> None:
    (mesh.server.folder / "config.toml").write_text('[tui]\nkeys = "vim"\n')
    await mesh.agent("critic")
    async with centre((200, 30)) as seen:
        await seen.shows("critic", "L logs", "X remove")
        await seen.press("l")
        await seen.shows("entrypoint: m:f")
        await seen.press("h", "L")
        await seen.shows("logs critic/0")
        await seen.press("h", "3")
        await seen.shows("▸ agents")
        await seen.press("h")
        await seen.shows("▸ overview")
        assert seen.app.notices == []


async def test_lines_and_choices_are_kept_across_sessions(mesh: Mesh) -> None:
    await mesh.agent("critic")
    path = mesh.server.folder / "tui" / "history.json"
    async with centre((140, 30)) as seen:
        await seen.press("colon")
        await seen.type("theme daylight")
        await seen.press("enter")
        await seen.until(lambda: path.is_file() and "Theme daylight" in path.read_text())
    async with centre((140, 30)) as seen:
        await seen.press("colon", "up")
        await seen.shows("theme daylight")
        await seen.press("escape", "ctrl+p")
        await seen.type("theme")
        await seen.shows("Theme daylight")
        assert "daylight" in seen.screen.split("palette")[1].splitlines()[1]
    path.write_text("{")
    async with centre((140, 30)) as seen:
        await seen.shows("history.json: not JSON")


async def test_paths_are_completed_from_the_disk(
    seen: Centre, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("files")
    (folder / "my agents").mkdir()
    for name in ("my agents/one.yaml", "other.yaml", ".hidden", "evil\x1b[2J"):
        (folder / name).write_text("")
    await seen.press("colon")
    seen.app._line.input.value = f"apply {folder}/m"
    await seen.shows(f"{folder}/my agents/")
    await seen.press("tab")
    assert seen.app._line.input.value == f"apply '{folder}/my agents/'"
    await seen.shows("one.yaml")
    await seen.press("tab")
    assert seen.app._line.input.value == f"apply '{folder}/my agents/one.yaml' "
    await seen.press("escape", "ctrl+p")
    await seen.type("deploy agent")
    await seen.shows("Deploy agent …")
    await seen.press("enter")
    await seen.shows("path:")
    seen.app.screen._entry.value = f"{folder}/"
    await seen.shows("other.yaml")
    assert ".hidden" not in seen.screen
    assert "evil" not in seen.screen
    await seen.press("down", "tab")
    await seen.until(lambda: seen.app.screen._entry.value == f"{folder}/other.yaml")
    await seen.press("escape")


async def test_keys_of_other_settings_leave_none_of_those_before(seen: Centre) -> None:
    app = seen.app
    assert app.bind_actions({"agents.restart": "f7"}, "default") == []
    await seen.press("r")
    await seen.pilot.pause()
    assert "replace the processes" not in seen.screen
    # What else has that key is not for an agent: no dead letter is asked for.
    await seen.shows("Requeue dead letter: no task is selected")
    assert len(app.screen_stack) == 1
    await seen.press("f7")
    await seen.shows("replace the processes of critic")
    await seen.press("escape")
    await seen.until(lambda: len(app.screen_stack) == 1)
    assert app.bind_actions({}, "default") == []
    await seen.press("f7")
    await seen.pilot.pause()
    assert len(app.screen_stack) == 1
    await seen.press("r")
    await seen.shows("replace the processes of critic")


async def test_readonly_help_of_a_page_has_no_keys_that_change_the_mesh(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((120, 50), pane="hosts", readonly=True) as seen:
        await seen.press("d")
        await seen.shows("python")
        await seen.press("question_mark")
        await seen.shows("copy its number")
        assert "end it at once" not in seen.screen


async def test_readonly_offers_no_remedy_that_changes_the_mesh(mesh: Mesh) -> None:
    await mesh.agent("critic", "error", reason="no luck", reason_kind="misconfigured")
    async with centre((80, 24), pane="agents", readonly=True) as seen:
        await seen.shows("read its log")
        assert "edit its spec" not in seen.screen
        await seen.press("w")
        await seen.shows("why critic", "read its log")
        assert "edit its spec" not in seen.screen


async def test_what_has_no_key_is_not_hinted_at(mesh: Mesh) -> None:
    (mesh.server.folder / "config.toml").write_text(
        '[tui.keymap]\n"agents.prompt" = "none"\n"help" = "none"\n'
    )
    await mesh.agent("critic")
    async with centre((160, 24), pane="agents") as seen:
        await seen.until(lambda: "help" not in seen.screen.splitlines()[-1])
        assert "prompt" not in seen.screen.splitlines()[-1]
        assert "r restart" in seen.screen.splitlines()[-1]
        await seen.press("question_mark", "t")
        await seen.pilot.pause()
        assert len(seen.app.screen_stack) == 1
        await seen.press("ctrl+p")
        await seen.type("prompt agent")
        await seen.shows("Prompt agent critic")
