"""`planner completion`: a script that completes commands and options in a shell."""

import click
from click.shell_completion import get_completion_class

from planner.cli import common
from planner.errors import BadInputError


@click.command("completion")
@click.argument("shell", type=common.Word(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash: planner completion bash > ~/.local/share/bash-completion/completions/planner
    """
    from planner.cli.main import cli  # noqa: PLC0415 - the group imports this file

    kind = get_completion_class(shell)
    if kind is None:
        raise BadInputError(f"no completion for {shell}; expected bash, zsh or fish")
    click.echo(kind(cli, {}, "planner", "_PLANNER_COMPLETE").source())
