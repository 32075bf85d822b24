"""The commands that answer an economic question by its file alone: quality, quota, implied, budget, break-even."""

from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from planner.cli import common, economic
from planner.economics.break_even import curve as curve_of


def _command(default: str, *own: Callable[[Any], Any], metavar: str = "QUESTION") -> Callable[[Any], click.Command]:
    """Turn a function into the command of its name; it says what `economic.answer` gets, given the `own` options."""

    def made(arguments: Callable[..., dict[str, Any]]) -> click.Command:
        name = arguments.__name__.replace("_", "-")

        def command(question: str, **chosen: Any) -> None:
            economic.answer(name, question, **arguments(**chosen))

        command.__doc__ = arguments.__doc__
        function = economic.options(command)
        for option in reversed(own):
            function = option(function)
        return click.command(name)(click.argument("question", default=default, metavar=f"[{metavar}]")(function))

    return made


@_command(
    "logic-puzzles",
    common.target_option,
    click.option(
        "--frontier", is_flag=True, help="Show only rows that no other row beats (short for --set frontier_only=true)."
    ),
)
def quality(target: str | None, *, frontier: bool, sets: tuple[str, ...], **chosen: Any) -> dict[str, Any]:
    """Compare models, efforts and sample counts on a benchmark: accuracy, cost per answer, cost per correct answer.

    QUESTION is a file, - (stdin) or the name of a shipped question. --target answers the cheapest that
    reaches an accuracy; exit 1 where nothing does.

    \b
    planner quality
    planner quality logic-puzzles --target accuracy=0.9
    planner quality swe-bench-lite --frontier --format csv
    """
    sets += ("frontier_only=true",) * frontier
    if target is not None:
        sets += (f"target.accuracy={common.read_target(target)}",)
    return {"sets": sets, **chosen}


@_command("chatgpt-plus-2024-09", metavar="PLAN")
def quota(**chosen: Any) -> dict[str, Any]:
    """Estimate revenue and cost per message of a subscription plan, for each message limit.

    PLAN is a file, - (stdin) or the name of a shipped plan.

    \b
    planner quota
    planner quota my-plan.yaml --set usd_per_month=30 --format csv
    """
    return chosen


@_command("o1-preview-2024-09")
def implied(**chosen: Any) -> dict[str, Any]:
    """Estimate the size ratio of two models from observed length, latency, API bill or quota.

    QUESTION is a file, - (stdin) or the name of a shipped comparison.

    \b
    planner implied
    planner implied my-comparison.yaml --set observations[0].model.characters=9000 --format csv
    """
    return chosen


@_command("o1-class-100k")
def budget(**chosen: Any) -> dict[str, Any]:
    """Find how many answers a month a budget buys within the SLO, by GPU, most answers first.

    QUESTION is a file, - (stdin) or the name of a shipped budget. Exits with 1 if the smallest fleet costs more.

    \b
    planner budget
    planner budget o1-class-100k --set budget_usd_per_month=25000 --set scenario=gpt-4o-class
    """
    return chosen


@_command(
    "o1-own-or-api",
    click.option(
        "--curve", is_flag=True, help="Print both costs over the range of demands; the default --format is csv."
    ),
)
def break_even(*, curve: bool, **chosen: Any) -> dict[str, Any]:
    """Compare the cost of an API and of your own GPUs for a scenario, and find where they are equal.

    QUESTION is a file, - (stdin) or the name of a shipped question.

    \b
    planner break-even
    planner break-even gpt-4o-own-or-api --set api.batch=true
    planner break-even --set scenario=my.yaml --set api.model=o3 --set tiers=spot
    planner break-even o1-own-or-api --curve -o curve.csv
    """
    if not curve:
        return chosen
    if click.get_current_context().get_parameter_source("form") == ParameterSource.DEFAULT:
        chosen["form"] = "csv"
    return {"solver": curve_of, **chosen}
