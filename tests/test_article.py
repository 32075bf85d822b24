"""docs/article.md: every claim is there, commands print what the page shows, and figures are those made by hand."""

import csv
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


NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")


def numbers(text: str) -> list[float]:
    """Return the numbers of a text."""
    return [float(found.replace(",", "")) for found in NUMBER.findall(text)]


def words(text: str) -> str:
    """Return a text without its numbers, and without the spaces and rules that follow their widths."""
    return re.sub(r"[ ─]+", " ", NUMBER.sub("#", text))


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: b.partition("\n")[0][:70])
def test_the_page_shows_what_the_command_prints(block: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same words, and numbers to a part in a million; a refusal shows its sentence. `make article` writes it."""
    command, _, shown = block.partition("\n")
    code = run(shlex.split(command.removeprefix("$ "))[1:])
    printed = capsys.readouterr()
    assert code == next((c for text, c in REFUSED.items() if text in command), 0)
    text = "\n".join(line.rstrip() for line in (printed.out if code == 0 else printed.err).splitlines())
    assert words(text) == words(shown.rstrip("\n"))
    assert numbers(text) == pytest.approx(numbers(shown), rel=1e-6)


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


def shown(number: int, row: str, column: str) -> float:
    """Return a number of a claim's page: of a row of the last CSV that has the column, by its first cell."""
    commands = CLAIMS[number - 1]["commands"]
    blocks = [b.partition("\n")[2] for b in BLOCKS if b.partition("\n")[0].removeprefix("$ ") in commands]
    rows = [each for block in blocks for each in csv.DictReader(block.splitlines()) if column in each]
    return next(float(each[column]) for each in rows if next(iter(each.values())) == row)


def test_claim_3_at_the_price_that_the_name_meant() -> None:
    """4,480 messages of 500 tokens in at $5 and 1,579 characters of 3.5 a token at $15, over $20 x 168 / 730."""
    week = 4480 * (500 * 5 + 1579 / 3.5 * 15) / 1e6
    assert "$41.52" in CLAIMS[2]["comment"]
    assert round(week, 2) == 41.52
    multiple = float(re.findall(r"gpt-4o,41\.\d+,([\d.]+)", PAGE)[0])
    assert multiple == pytest.approx(week / (20 * 168 / 730))
    assert round(multiple, 1) == 9.0


def test_claim_5_by_hand() -> None:
    """20 calls a minute for a day, at 32 s each (Little's law), and a week of messages such as claim 2's."""
    message = (500 * 15 + 6632 / 3.5 * 60) / 1e6
    assert shown(5, "o1-preview", "quota_messages_per_day") == 20 * 60 * 24
    assert shown(5, "o1-preview", "in_flight_exhausted") == pytest.approx(20 / 60 * 32)
    assert shown(5, "o1-preview", "list_value_usd_per_week") == pytest.approx(message * 20 * 60 * 24 * 7)


@pytest.mark.parametrize(
    ("row", "base", "model"),
    [
        ("aime-vote-of-64", 13.4, 56.7),  # OpenAI's appendix
        ("aime-one-try", 9.3, 44.6),  # the same
        ("aime-one-try-by-the-text", 100 * 1.8 / 15, 44.6),  # its text: 1.8 of 15
    ],
)
def test_claim_6_by_hand(row: str, base: float, model: float) -> None:
    """Quotients of the published percentages; only two of the three are above 4, as the verdict says."""
    assert shown(6, row, "implied_multiplier") == pytest.approx(model / base)
    assert f"{model / base:.1f}" in CLAIMS[5]["verdict"]
    assert (model / base > 4) == (row != "aime-one-try-by-the-text")


def test_claim_10_by_hand() -> None:
    """Ten million subscribers at $20."""
    assert shown(10, "all", "users_revenue_usd_per_month") == 10e6 * 20


@pytest.mark.parametrize(("column", "gpus", "revenue", "hole"), [(0, 50, 75, 125), (1, 150, 100, 500)])
def test_claim_11_as_sequoia_published_it(column: int, gpus: float, revenue: float, hole: float) -> None:
    """Billions of dollars: GPU spending doubled for the data centre, and again for a margin of one half."""
    block = next(b for b in BLOCKS if "payback sequoia-2024" in b)
    line = {
        name: numbers(x)[column] for x in block.splitlines() for name in ("hole", "spend less") if x.startswith(name)
    }
    assert line["hole"] == pytest.approx(hole * 1e9)
    assert line["hole"] == pytest.approx((gpus * 2 / (1 - 0.5) - revenue) * 1e9)
    assert line["spend less"] == pytest.approx((gpus * 2 - revenue) * 1e9)


@pytest.mark.parametrize(("row", "building"), [("a third long-lived", 211e6), ("half long-lived", 500e6)])
def test_claim_12_by_hand(row: str, building: float) -> None:
    """7,200 GPUs at $3.30 less 13.2 MW x 0.8 x 1.12 at $0.08 and 3 % service; $500 M are bought again in year 6."""
    earned = 7200 * 8760 * 3.3 - 13_200 * 0.8 * 1.12 * 8760 * 0.08 - 0.03 * 500e6
    assert shown(12, row, "payback_years") == pytest.approx((500e6 + building) / earned)
    assert shown(12, row, "lasting_payback_years") == pytest.approx((1000e6 + building) / earned)


def test_claim_15_by_hand() -> None:
    """119.14 over 108.10 and over 102.83: the two periods differ by more than a rounding."""
    assert shown(15, "in-two-days", "implied_multiplier") == pytest.approx(119.14 / 108.10)
    assert shown(15, "since-the-start-of-the-week", "implied_multiplier") == pytest.approx(119.14 / 102.83)
