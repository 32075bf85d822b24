"""The command group: commands are imported when they are called; errors become one line and an exit code."""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from itertools import pairwise

import click

import planner
from planner.errors import (
    EXIT_BAD_INPUT,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_SYSTEM,
    PlannerError,
    unknown,
)
from planner.report.output import prepare_stdout

COMMANDS = {
    "estimate": "Size a fleet for a scenario: GPUs, cost and latency, best option first.",
    "compare": "Compare scenarios or their variants side by side.",
    "explain": "Show the formulas behind a number and the source of every input.",
    "validate": "Check files without solving them.",
    "list": "List models, gpus, systems, engines, prices, api-prices, benchmarks or scenarios.",
    "init": "Write a commented scenario to start from.",
    "schema": "Print the JSON Schema of a kind of file, or describe the result columns.",
    "memory": "Show the memory a model takes per GPU, the longest request, and whether it starts.",
    "predict": "Predict load-test results, one row per run.",
    "calibrate": "Fit engine factors to measured runs, with errors on unseen runs.",
    "thinking": "Show how thinking multiplies tokens, GPU time, cost, energy and latency, and why.",
    "energy": "Estimate energy and carbon per answer, by grid and data source.",
    "quality": "Compare accuracy and cost of models, efforts and sample counts.",
    "quota": "Estimate revenue, cost and GPUs of a subscription with message limits.",
    "payback": "Estimate when owned GPUs pay back; the revenue needed to cover a GPU investment.",
    "break-even": "Find the volume and utilisation at which an API and your own GPUs cost the same.",
    "implied": "Estimate the size ratio of two models from observed length, latency, bill or quota.",
    "budget": "Find how many answers a budget buys, and on which GPUs.",
    "check-gpu": "Compare the local GPU with its spec and show what fits on it.",
    "completion": "Print a shell completion script.",
}
_QUESTIONS = ("quality", "quota", "implied", "budget", "break_even")
_MODULES = {"list": "list_", **dict.fromkeys(_QUESTIONS, "questions")}
"""Modules of the commands that have none of their own name."""
_EPILOG = """\b
Exit codes: 0 an answer; 1 a gate failed or nothing meets the SLO; 2 bad usage or a
bad file; 3 data missing; 4 system error (disk, memory, network);
130 interrupted.
Start with: planner estimate"""


class LazyGroup(click.Group):
    """A group whose commands live in planner.cli and are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the commands, in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Return a command, imported here: `planner --help` needs only the line in COMMANDS."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        module = import_module(f"planner.cli.{_MODULES.get(name, name)}")
        command: click.Command = getattr(module, name if name in _QUESTIONS else "command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command when one is unknown."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise click.UsageError(unknown("command", args[0], COMMANDS))
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(planner.__version__, prog_name="inference-planner", message="%(prog)s %(version)s")
def cli() -> None:
    """Plan LLM inference: from tokens per answer to GPUs, cost and latency."""


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code."""
    if sys.__stdout__ is None:  # started with stdout closed: there is nowhere to print
        return EXIT_SYSTEM
    prepare_stdout()
    try:
        code = _call(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
        return EXIT_OK
    except OSError as error:
        with suppress(OSError):
            _report([], f"cannot read or write {error.filename or 'the output'}: {error.strerror}", EXIT_SYSTEM)
        _silence_stdout()
        return EXIT_SYSTEM
    except MemoryError as error:
        error.with_traceback(None)  # its frames hold what filled the memory
        _report(arguments, "out of memory; expected a smaller question, or a machine with more memory", EXIT_SYSTEM)
        return EXIT_SYSTEM
    return code


def _call(arguments: Sequence[str]) -> int:
    """Run a command; every error a user can act on is reported and becomes its exit code."""
    try:
        if not arguments and "_PLANNER_COMPLETE" not in os.environ:
            click.echo(cli.make_context("planner", [], resilient_parsing=True).get_help(), err=True)
            return EXIT_BAD_INPUT
        code = cli.main(list(arguments), prog_name="planner", standalone_mode=False)
    except PlannerError as error:
        _report(arguments, error.message, error.exit_code, error.where)
        return error.exit_code
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        _report(arguments, " ".join(error.format_message().split()), EXIT_BAD_INPUT)
        return EXIT_BAD_INPUT
    except SystemExit:  # click's own answer to a closed pipe
        raise BrokenPipeError from None
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return EXIT_INTERRUPTED
    return code if isinstance(code, int) else EXIT_OK


def _silence_stdout() -> None:
    """Redirect stdout to the null device, so that exit does not flush into a closed pipe or a full disk."""
    try:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, sys.stdout.fileno())
    except (OSError, ValueError):
        return


def _report(arguments: Sequence[str], message: str, code: int, where: str = "") -> None:
    """Print an error: one line on stderr, and JSON on stdout where JSON was asked for."""
    if _wants_json(arguments):
        click.echo(json.dumps({"error": {"exit_code": code, "where": where, "message": message}}, ensure_ascii=False))
    for line in message.splitlines():
        click.echo(f"error: {where}: {line}" if where else f"error: {line}", err=True)


def _wants_json(arguments: Sequence[str]) -> bool:
    pairs = pairwise(arguments)
    return bool({"--format=json", "-fjson"} & {*arguments}) or any(
        a in {"--format", "-f"} and b == "json" for a, b in pairs
    )
