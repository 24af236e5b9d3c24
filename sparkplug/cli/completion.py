"""`sparkplug completion`: scripts for bash, zsh and fish, made from the parser itself.

Verbs and flags are in the script; names of agents, hosts, runs and tasks are asked of the mesh.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field

from sparkplug.cli.context import Cli
from sparkplug.cli.parser import build_parser
from sparkplug.client.plan_files import plan_names

#: How the names of a kind of thing are asked for.
_ASK = {
    "agent": "sparkplug agents list -o name",
    "host": "sparkplug hosts -o name",
    "run": "sparkplug runs list -o name",
    "task": "sparkplug tasks list -o name",
    "decision": "sparkplug decisions list -o name",
    "question": "sparkplug questions list -o name",
    "schedule": "sparkplug schedules list -o name",
    "context": "sparkplug contexts list -o name",
}
#: Flags that take the name of a thing, by the kind of it.
_TAKES = {"--context": "context"}


@dataclass(slots=True)
class Words:
    """What can stand after some words: verbs, flags, choices, names of a kind."""

    path: tuple[str, ...]
    help: str = ""
    words: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    kind: str = ""


def completion(cli: Cli) -> int:
    """Print the completion script of a shell."""
    made = {"bash": bash, "zsh": zsh, "fish": fish}[cli.args.shell]
    cli.out.stdout.write(made(read_words(build_parser())))
    return 0


def read_words(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> list[Words]:
    """What can stand after every beginning of a command line, the shortest first."""
    here = Words(path, parser.description or "")
    below: list[Words] = []
    for action in parser._actions:  # noqa: SLF001  argparse has no other way to ask it
        here.flags += [flag for flag in action.option_strings if flag.startswith("--")]
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, child in action.choices.items():
                here.words.append(name)
                below += read_words(child, (*path, name))
        elif not action.option_strings:
            here.words += [str(choice) for choice in action.choices or ()]
            here.kind = here.kind or str(getattr(action, "kind", ""))
            if here.kind == "plan":
                here.words += plan_names()
    return [here, *below]


def bash(words: list[Words]) -> str:
    """The script for bash."""
    cases = "".join(
        f'    "{" ".join(w.path)}") words="{" ".join(w.words)}"; '
        f'flags="{" ".join(w.flags)}"; kind="{w.kind}" ;;\n'
        for w in words
    )
    asks = "".join(f'    {kind}) names="$({ask} 2>/dev/null)" ;;\n' for kind, ask in _ASK.items())
    taking = " | ".join(_TAKES)
    takes = "".join(f'    {flag}) words="" kind="{kind}" ;;\n' for flag, kind in _TAKES.items())
    return f"""\
# sparkplug completion for bash: eval "$(sparkplug completion bash)"
_sparkplug_words() {{
  case "$1" in
{cases}    *) return 1 ;;
  esac
}}
_sparkplug() {{
  local cur="${{COMP_WORDS[COMP_CWORD]}}" path="" words="" flags="" kind="" names="" word i
  local before=""
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${{COMP_WORDS[i]}}"
    [[ "$word" == "=" ]] && continue
    case "$before" in {taking}) before=""; continue ;; esac
    before="$word"
    [[ "$word" == -* ]] && continue
    _sparkplug_words "${{path:+$path }}$word" || continue
    path="${{path:+$path }}$word"
  done
  _sparkplug_words "$path"
  [[ "$cur" == "=" ]] && cur=""
  case "$before" in
{takes}  esac
  if [[ "$cur" == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
    return
  fi
  case "$kind" in
{asks}    path | plan)
      COMPREPLY=($(compgen -W "$words" -- "$cur") $(compgen -f -- "$cur"))
      return ;;
  esac
  COMPREPLY=($(compgen -W "$words $names" -- "$cur"))
}}
complete -o filenames -F _sparkplug sparkplug
"""


def zsh(words: list[Words]) -> str:
    """The script for zsh."""
    cases = "".join(
        f'    "{" ".join(w.path)}") words_here=({" ".join(w.words)}); '
        f'flags=({" ".join(w.flags)}); kind="{w.kind}" ;;\n'
        for w in words
    )
    asks = "".join(
        f'    {kind}) words_here+=(${{(f)"$({ask} 2>/dev/null)"}}) ;;\n'
        for kind, ask in _ASK.items()
    )
    taking = " | ".join(_TAKES)
    takes = "".join(
        f'    {flag}) words_here=() kind="{kind}" ;;\n' for flag, kind in _TAKES.items()
    )
    return f"""\
#compdef sparkplug
# sparkplug completion for zsh: eval "$(sparkplug completion zsh)"
_sparkplug_words() {{
  case "$1" in
{cases}    *) return 1 ;;
  esac
}}
_sparkplug() {{
  local route="" word kind="" before=""
  local -a words_here flags
  for word in "${{(@)words[2,CURRENT-1]}}"; do
    case "$before" in {taking}) before=""; continue ;; esac
    before="$word"
    [[ "$word" == -* ]] && continue
    _sparkplug_words "${{route:+$route }}$word" || continue
    route="${{route:+$route }}$word"
  done
  _sparkplug_words "$route"
  if [[ "${{words[CURRENT]}}" == -* ]]; then
    compadd -- $flags
    return
  fi
  case "$before" in
{takes}  esac
  case "$kind" in
{asks}    path | plan) compadd -- $words_here; _files; return ;;
  esac
  compadd -- $words_here
}}
compdef _sparkplug sparkplug
"""


def fish(words: list[Words]) -> str:
    """The script for fish."""
    lines = ["# sparkplug completion for fish: sparkplug completion fish | source"]
    lines.append("complete -c sparkplug -f")
    for here in words:
        inside = [f"__fish_seen_subcommand_from {word}" for word in here.path]
        if here.words and here.kind == "":
            others = f"not __fish_seen_subcommand_from {' '.join(here.words)}"
            inside_here = [*inside, others]
        else:
            inside_here = inside
        when = "; and ".join(inside_here) or "true"
        if here.words:
            lines.append(f"complete -c sparkplug -n '{when}' -a '{' '.join(here.words)}'")
        if here.kind in _ASK:
            ask = f"({_ASK[here.kind]} 2>/dev/null)"
            lines.append(f"complete -c sparkplug -n '{when}' -a '{ask}'")
        elif here.kind in ("path", "plan"):
            lines.append(f"complete -c sparkplug -n '{when}' -F")
        within = "; and ".join(inside) or "true"
        lines += [
            f"complete -c sparkplug -n '{within}' -l {flag.removeprefix('--')}{_value_of(flag)}"
            for flag in here.flags
        ]
    return "\n".join(lines) + "\n"


def _value_of(flag: str) -> str:
    """What fish is told of the value of a flag."""
    kind = _TAKES.get(flag)
    return f" -x -a '({_ASK[kind]} 2>/dev/null)'" if kind else ""
