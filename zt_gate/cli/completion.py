"""`zt-gate completion`: completion scripts, drawn from the parser itself."""

from __future__ import annotations

import argparse

from zt_gate.cli.common.console import Console

_BASH = """\
# eval "$(zt-gate completion bash)"
_zt_gate() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" verb="${{COMP_WORDS[1]}}" words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{verbs}" -- "$word"))
    return
  fi
  case "$verb" in
{cases}
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
    *) COMPREPLY=($(compgen -W "$words" -- "$word") $(compgen -f -- "$word")) ;;
  esac
}}
complete -o filenames -F _zt_gate zt-gate"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("shell", choices=["bash", "zsh", "fish"])


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the script."""
    from zt_gate.cli.main import VERBS

    words = {verb: _words(verb) for verb in VERBS}
    if args.shell == "fish":
        console.result(_fish(words))
        return 0
    cases = "\n".join(f'    {verb}) words="{" ".join(options)}" ;;' for verb, options in words.items())
    script = _BASH.format(verbs=" ".join(VERBS), cases=cases)
    # zsh reads bash completions through its own bridge.
    head = "autoload -U +X bashcompinit && bashcompinit\n" if args.shell == "zsh" else ""
    console.result(head + script)
    return 0


def _words(verb: str) -> list[str]:
    """Return what may follow a verb: its options and the choices of its positional arguments."""
    from zt_gate.cli.main import VERBS, build_parser

    top = next(action for action in build_parser(verb)._actions if action.dest == "verb")  # noqa: SLF001
    assert verb in VERBS  # noqa: S101 - a programming error, not an input
    parser: argparse.ArgumentParser = top.choices[verb]  # type: ignore[index]
    words = [option for action in parser._actions for option in action.option_strings]  # noqa: SLF001
    for action in parser._actions:  # noqa: SLF001
        if not action.option_strings and action.choices:
            words += [str(choice) for choice in action.choices]
    return words


def _fish(words: dict[str, list[str]]) -> str:
    from zt_gate.cli.main import VERBS

    lines = ["# zt-gate completion fish | source"]
    for verb, summary in VERBS.items():
        lines.append(f"complete -c zt-gate -n __fish_use_subcommand -f -a {verb} -d '{summary}'")
    for verb, options in words.items():
        condition = f"'__fish_seen_subcommand_from {verb}'"
        for option in options:
            flag = f"-l {option[2:]}" if option.startswith("--") else f"-a '{option}'"
            lines.append(f"complete -c zt-gate -n {condition} {flag}")
    return "\n".join(lines)
