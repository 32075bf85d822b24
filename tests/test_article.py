"""docs/article.md: every claim is there, and every command prints what the page shows."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.cli.main import run

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "article.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
CLAIMS: list[dict[str, Any]] = yaml.safe_load((ROOT / "scenarios/article/claims.yaml").read_text("utf-8"))["claims"]
REFUSED = {"scale=percentile": 2}
"""What a command that must refuse has in it, and its exit code."""


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: b.partition("\n")[0][:70])
def test_the_page_shows_what_the_command_prints(block: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Line by line; a command that refuses shows its sentence. `make article` writes the page again."""
    command, _, shown = block.partition("\n")
    code = run(shlex.split(command.removeprefix("$ "))[1:])
    printed = capsys.readouterr()
    assert code == next((c for text, c in REFUSED.items() if text in command), 0)
    text = printed.out if code == 0 else printed.err
    assert [line.rstrip() for line in text.splitlines()] == shown.splitlines()


def test_every_claim_is_on_the_page() -> None:
    """Claims 1 to 17 in order, each with its verdict, its commands and its comment."""
    assert [c["number"] for c in CLAIMS] == list(range(1, 18))
    commands = [b.partition("\n")[0].removeprefix("$ ") for b in BLOCKS]
    assert commands == [c for claim in CLAIMS for c in claim["commands"]]
    for claim in CLAIMS:
        assert f"## {claim['number']}. {claim['claim']}\n" in PAGE
        assert claim["comment"].strip() in PAGE
        assert claim["verdict"][1:] in PAGE


@pytest.mark.parametrize(
    "figure",
    [
        f"{6632 / 1579:.1f}× by characters",
        f"{32 / 3:.2f}× by latency",
        "21.03× by api-2024-08-06",  # $0.1212 / $0.00576
        "13.08× by api-2024-05-13",  # $0.1212 / $0.00927
        f"{80 * 8 * 7 / 30:.1f}× by quota",
        "3.5 characters per token",
        "o1 $4.85",
        "a subscriber pays $4.60",
        "$0.153",
        "$0.0921",
        "4,480",
    ],
)
def test_the_known_figures_are_on_the_page(figure: str) -> None:
    """The worked figures of the article, by hand or by the facts they come from."""
    assert any(figure in block for block in BLOCKS)
