"""What the commands share: options, opening scenarios, gates, reports."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from planner.catalog.benchmark_points import share_of_right
from planner.catalog.catalog import Catalog
from planner.catalog.open_named import FILE_SUFFIXES
from planner.documents.text_file import exists
from planner.errors import EXIT_GATE_FAILED, Alarm, BadInputError, DataMissingError, suggestion, unknown
from planner.fleet.result_fields import DIMENSIONLESS
from planner.options.answer import Answer, answer
from planner.options.option import COLUMNS, NUMBERS, Option
from planner.options.router import ALL, by_model, totals
from planner.report.columns import choose_fields
from planner.report.output import emit
from planner.report.page import Page
from planner.report.registry import FORMATS
from planner.scenario.load import (
    Scenario,
    build_scenario,
    load_scenario,
    open_scenario,
    parse_path,
    parse_value,
    undoes,
)
from planner.wording import plural

DEFAULT_SCENARIO = "o1-class"
_WARNINGS, _NOTES = "planner.warnings", "planner.notes"
"""What a command keeps of its warnings until the answer is printed, and whether all are asked for."""
F = TypeVar("F", bound=Callable[..., Any])


class Word(click.Choice):  # type: ignore[type-arg]  # click 8.1 has no parameter there
    """A choice among words; a wrong word is refused with the nearest ones."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the word. Raises click.BadParameter with the nearest ones."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            hint = suggestion(str(value), (str(c) for c in self.choices))
            raise click.BadParameter(f"{value!r} is not a choice.{hint}", ctx, param) from None


catalog_option = click.option(
    "--catalog",
    "catalogs",
    multiple=True,
    metavar="DIR",
    help="Folder with hardware/ and scenarios/, searched before the shipped catalogue.",
)
notes_option = click.option(
    "--notes",
    is_flag=True,
    expose_value=False,
    callback=lambda context, _, value: context.meta.update({_NOTES: value}),
    help="Print all notes instead of their number.",
)
output_option = click.option("-o", "--output", metavar="FILE", help="Write to a file (nothing is written on failure).")


set_option = click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="PATH=VALUE",
    help="Override a field of the file, e.g. workload.reasoning_multiplier=8.",
)


target_option = click.option(
    "--target", metavar="accuracy=SHARE", help="Cheapest option with at least this accuracy, e.g. accuracy=0.8."
)


def read_target(text: str) -> float:
    """Return the accuracy of --target. Raises BadInputError for another name or a value that is not a share."""
    name, equals, value = text.partition("=")
    if name.strip() != "accuracy" or not equals:
        raise BadInputError(f"{text!r} is not a target; expected accuracy=SHARE, e.g. accuracy=0.8", where="--target")
    number = parse_value(value, "--target accuracy")
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise BadInputError(f"{value!r} is not a number; expected a share, e.g. 0.8", where="--target accuracy")
    try:
        return share_of_right(float(number))
    except ValueError as error:
        raise BadInputError(str(error), where="--target accuracy") from None


def format_option(*names: str) -> Callable[[F], F]:
    """Return the --format option with the formats a command has."""
    return click.option(
        "-f", "--format", "form", type=Word(names), default=names[0], show_default=True, help="Output format."
    )


def question_options(function: F) -> F:
    """Add the options that change a scenario."""
    for option in reversed(
        (
            set_option,
            click.option("--gpu", multiple=True, metavar="GPU", help="Use only these GPUs (as --set fleet.gpus=…)."),
            click.option(
                "--model", metavar="MODEL", help="Use another model: a name, a spec file or a Hugging Face config.json."
            ),
            click.option("--precision", multiple=True, metavar="FORMAT", help="Use only these weight formats."),
            click.option("--engine", metavar="ENGINE", help="Serving engine: vllm, sglang, trtllm or any."),
        )
    ):
        function = option(function)
    return function


def changes(
    sets: Sequence[str], gpu: Sequence[str], model: str | None, precision: Sequence[str], engine: str | None
) -> dict[str, Any]:
    """Return path -> value of --set and of the short options (--gpu, --model, --precision, --engine)."""
    found: dict[str, tuple[str, Any]] = {}
    if gpu:
        found["fleet.gpus"] = (f"--gpu {','.join(gpu)}", _names(gpu))
    if model:
        is_file = Path(model).suffix in FILE_SUFFIXES and exists(Path(model))
        found["model"] = (f"--model {model}", str(Path(model).resolve()) if is_file else model)
    if precision:
        found["fleet.precisions"] = (f"--precision {','.join(precision)}", _names(precision))
    if engine:
        found["engine"] = (f"--engine {engine}", engine)
    return _with_sets(found, sets)


def read_sets(sets: Sequence[str]) -> dict[str, Any]:
    """Return path -> value of --set. Raises BadInputError where one has no value or contradicts another."""
    return _with_sets({}, sets)


def _with_sets(options: Mapping[str, tuple[str, Any]], sets: Sequence[str]) -> dict[str, Any]:
    """Return path -> value of short options, given as (what was typed, value) by path, and of --set."""
    found = dict(options)
    for text in sets:
        path, equals, raw = text.partition("=")
        path = path.strip()
        if not equals:
            raise BadInputError(f"{text!r} has no value; expected PATH=VALUE", where="--set")
        value, typed = parse_value(raw, f"--set {path}"), f"--set {text}"
        key = parse_path(path, where="--set")
        for other, (earlier, held) in found.items():
            if undoes(key, value, parse_path(other), held):
                raise BadInputError(f"{earlier} and {typed} contradict each other; expected one of them")
        found[path] = (typed, value)
    return {path: value for path, (_, value) in found.items()}


def _names(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the names of an option given several times, or once with commas."""
    return tuple(name.strip() for text in texts for name in text.split(",") if name.strip())


def open_questions(
    names: Sequence[str], catalog: Catalog, overrides: Sequence[str], sets: dict[str, Any]
) -> list[Scenario]:
    """Return the scenarios to solve: the baselines, or the named overrides; `all` is a baseline and every override."""
    questions, overrides = [], _names(overrides)
    for name in names or (DEFAULT_SCENARIO,):
        document, folder = open_scenario(name, catalog)
        known = list(document.data.get("overrides") or {}) if isinstance(document.data.get("overrides"), dict) else []
        wanted: list[str | None] = list(overrides) or [None]
        if "all" in overrides and "all" not in known:
            wanted = [None, *known]
        for one in wanted:
            questions += by_model(build_scenario(document, folder, override=one, changes=sets))
    return questions


def day(text: str, where: str) -> dt.date | str:
    """Return a date of the command line, or `latest`. Raises BadInputError for anything else."""
    if text == "latest":
        return text
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise BadInputError(f"{text!r} is not a date; expected YYYY-MM-DD or latest", where=where) from None


def part_of(scenario: Scenario, model: str | None) -> Scenario:
    """Return the part of a router that one model serves; another scenario is returned as it is.

    Raises BadInputError where a router needs a model, DataMissingError for a model that it does not have.
    """
    parts = {part.spec.model: part for part in by_model(scenario)}
    if model is None and len(parts) == 1:
        return next(iter(parts.values()))
    if model is None:
        raise BadInputError(
            f"{scenario.label} is served by several models; expected --row with one of {', '.join(parts)}"
        )
    if model not in parts:
        raise DataMissingError(unknown(f"row of {scenario.label}", model, parts), where="--row")
    return parts[model]


def modelled(
    name: str,
    catalog: Catalog,
    override: str | None,
    row: str | None,
    changes: Mapping[str, Any],
    *,
    every: bool = False,
) -> list[Scenario]:
    """Return the scenario for the performance model; of a router the row's part, or with `every` and no row all parts.

    Raises BadInputError for a scenario with measured rates, which the performance model does not use.
    """
    scenario = load_scenario(name, catalog, override=override, changes=changes)
    refuse_measured(scenario)
    return by_model(scenario) if every and row is None else [part_of(scenario, row)]


def refuse_measured(scenario: Scenario) -> None:
    """Raise BadInputError where the rates of nodes are measured, which say nothing of single answers."""
    if scenario.spec.measured_rates is not None:
        raise BadInputError(
            "measured rates do not describe single answers; expected a scenario without measured_rates",
            where=scenario.loaded.document.field_place(("measured_rates",)),
        )


def answer_all(questions: Sequence[Scenario], catalog: Catalog) -> tuple[list[Answer], list[str]]:
    """Return the answers to all questions, and a sentence about those missing after an interruption."""
    answers: list[Answer] = []
    try:
        for question in questions:
            answers.append(answer(question, catalog))  # noqa: PERF401 - an interruption keeps the answers so far
    except KeyboardInterrupt:
        if not answers:
            raise
        return answers, [Alarm(f"PARTIAL: interrupted after {len(answers)} of {len(questions)} questions")]
    return answers, []


def show(page: Page, form: str, output: str | None, dialect: str = "plain") -> None:
    """Print a page in a format, its warnings and why its answer is no on stderr."""
    emit(FORMATS[form](page, dialect), output)
    warn(page.warnings)
    for line in page.failed:
        click.echo(f"error: {line}", err=True)


def warn(warnings: Sequence[str]) -> None:
    """Print warnings on stderr below the answer: those that change whether it holds, and how many others there are.

    With --notes the others are printed, too. Every call of a command is gathered into one number.
    """
    context = click.get_current_context()
    if _WARNINGS not in context.meta:
        context.meta[_WARNINGS] = []
        context.call_on_close(lambda: _print_warnings(context.meta[_WARNINGS], notes=context.meta.get(_NOTES, False)))
    context.meta[_WARNINGS] += warnings


def _print_warnings(warnings: Sequence[str], *, notes: bool) -> None:
    folded = [text for text in warnings if not isinstance(text, Alarm)]
    for text in warnings:
        if isinstance(text, Alarm):
            click.echo(f"warning: {text}", err=True)
        elif notes:
            click.echo(f"note: {text}", err=True)
    if folded and not notes:
        click.echo(f"{plural(len(folded), 'note')}: --notes shows {'it' if len(folded) == 1 else 'them'}", err=True)


class Gate:
    """A --max or --min condition on the best option."""

    def __init__(self, text: str, *, largest: bool) -> None:
        flag = "--max" if largest else "--min"
        name, equals, value = text.partition("=")
        choose_fields(name, NUMBERS, where=flag)
        limit = parse_value(value, flag) if equals else None
        if not isinstance(limit, int | float) or isinstance(limit, bool):
            raise BadInputError(
                f"{text!r} is not a gate; expected FIELD=NUMBER, e.g. cost_usd_per_month=50000", where=flag
            )
        self.name, self.limit, self.largest = name.strip(), float(limit), largest

    def failure(self, option: Option) -> str | None:
        """Return why the gate fails, or None."""
        value = option[self.name]
        if value is not None and (value <= self.limit if self.largest else value >= self.limit):
            return None
        unit = "" if (own := COLUMNS[self.name].unit) == DIMENSIONLESS else own
        is_now = "has no value" if value is None else f"is {value:.10g} {unit}".rstrip()
        word = "at most" if self.largest else "at least"
        return f"gate failed: {self.name} {is_now}; wanted {word} {self.limit:.10g}"


def read_gates(largest: Sequence[str], smallest: Sequence[str]) -> list[Gate]:
    """Return the gates of --max and --min. Raises BadInputError for a gate that is not FIELD=NUMBER."""
    return [Gate(t, largest=True) for t in largest] + [Gate(t, largest=False) for t in smallest]


def check_gates(answers: Sequence[Answer], gates: Sequence[Gate]) -> int:
    """Return the exit code: 1 where nothing meets the SLO or a gate fails. Failed gates are printed on stderr.

    A router is judged by the row of all its models.
    """
    judged = [a.best for a in answers if a.scenario.router is None] + totals(answers)
    failures = [f"{option.scenario}: {f}" for option in judged for g in gates if (f := g.failure(option))]
    for line in failures:
        click.echo(line, err=True)
    met = all(a.meets for a in answers) and all(option.meets_slo for option in judged if option.model == ALL)
    return 0 if met and not failures else EXIT_GATE_FAILED
