"""Inverse questions: the multipliers an article's figures imply, by hand and by other people's numbers."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.catalog.catalog import Catalog
from planner.documents.spec import load
from planner.documents.yaml_reader import parse_document
from planner.economics.implied import implied
from planner.economics.page import QuestionResult
from planner.economics.questions.asked import load_asked
from planner.economics.questions.implied import ImpliedFile
from planner.economics.text import characters_per_token
from planner.errors import EXIT_BAD_INPUT, EXIT_DATA_MISSING, BadInputError, DataMissingError

Call = Callable[..., Any]
CATALOG = Catalog()


def asked(text: str) -> QuestionResult:
    """Return the answer to observations written as YAML, two spaces in."""
    head = "name: q\nas_of: 2025-02-28\nbase: a\nmodel: b\nobservations:\n"
    return implied(load(ImpliedFile, parse_document(head + text, "q.yaml")), CATALOG)


def shipped(name: str) -> QuestionResult:
    """Return the answer to a shipped question."""
    return implied(load_asked(ImpliedFile, "scenarios/implied", name, CATALOG), CATALOG)


def value(result: QuestionResult, row: str, name: str) -> float:
    """Return a number of a row that must be there."""
    found = result.line(row).value(name)
    assert found is not None
    return found


def test_the_four_multipliers_of_o1_preview() -> None:
    """4.2 by characters, 32 s / 3 s by latency, 21 and 13 by price, 4,480 / 30 by quota, by hand."""
    result = shipped("o1-preview-2024-09")
    tokens, base_tokens = 6632 / 3.5, 1579 / 3.5
    dollars = (500 * 15 + tokens * 60) / 1e6
    assert dollars == pytest.approx(0.1212, abs=5e-5)
    assert value(result, "characters", "implied_multiplier") == pytest.approx(6632 / 1579)
    assert value(result, "characters", "implied_multiplier") == pytest.approx(4.2, abs=0.005)
    assert value(result, "latency", "implied_multiplier") == pytest.approx(32 / 3)
    late = value(result, "api-2024-08-06", "implied_multiplier")
    assert late == pytest.approx(dollars / ((500 * 2.5 + base_tokens * 10) / 1e6))
    assert round(late) == 21
    early = value(result, "api-2024-05-13", "implied_multiplier")
    assert early == pytest.approx(dollars / ((500 * 5 + base_tokens * 15) / 1e6))
    assert round(early) == 13
    assert value(result, "quota", "implied_multiplier") == pytest.approx(80 * 8 * 7 / 30)
    assert value(result, "quota", "base_quantity") == 4480


def test_the_range_is_two_texts_at_opposite_ends() -> None:
    """All Python against all LaTeX: 4.2 times the characters are 4.2 · 2.427 / 4.835 times the tokens."""
    result = shipped("o1-preview-2024-09")
    low, high = (
        value(result, "characters", "implied_multiplier_low"),
        value(result, "characters", "implied_multiplier_high"),
    )
    assert low == pytest.approx(6632 / 1579 * 2.427 / 4.835)
    assert high == pytest.approx(6632 / 1579 * 4.835 / 2.427)
    assert result.line("latency").value("implied_multiplier_low") is None
    assert value(result, "characters", "model_tokens_high") == pytest.approx(6632 / 2.427)


def test_a_bill_gives_the_tokens_back() -> None:
    """DeepSeek's published day: $562,027 for 608 B tokens in, 342 B of them cached, is 168 B out (open-infra-index)."""
    result = asked(
        "  - basis: bill\n    visible: {tokens: 43e+9}\n"
        "    model: {bill_usd: 562027, input_tokens: 608e+9, cached_share: 0.5625, price_model: deepseek-r1}\n"
    )
    tokens = value(result, "bill", "model_tokens")
    assert tokens == pytest.approx(168e9, rel=1e-3)
    assert value(result, "bill", "implied_multiplier") == pytest.approx(tokens / 43e9)


def test_latency_gives_tokens_with_a_speed() -> None:
    """GPT-5 at medium effort: (33.3 s - 1.0 s) at 95.7 tokens/s are 3,091 tokens (Artificial Analysis, 2026-08-29)."""
    result = asked(
        "  - basis: latency\n    visible: {tokens: 500}\n"
        "    model: {latency_s: 33.3, ttft_s: 1.0, output_tokens_per_s: 95.7}\n"
    )
    assert value(result, "latency", "model_tokens") == pytest.approx(3091, abs=0.5)
    assert value(result, "latency", "implied_multiplier") == pytest.approx(3091.11 / 500)


def test_the_table_shows_the_tokens_where_they_are_inferred() -> None:
    """Of a latency with a speed both counts and their quotient are columns; of lengths alone they only repeat it."""
    speed = "ttft_s: 1, output_tokens_per_s: 50"
    latency = asked(f"  - basis: latency\n    base: {{latency_s: 3, {speed}}}\n    model: {{latency_s: 32, {speed}}}\n")
    assert {"base_tokens", "model_tokens", "token_multiplier"} <= set(latency.shown)
    assert value(latency, "latency", "token_multiplier") == pytest.approx((32 - 1) / (3 - 1))
    assert value(latency, "latency", "implied_multiplier") == pytest.approx(32 / 3)
    lengths = asked("  - basis: tokens\n    base: {tokens: 400}\n    model: {tokens: 1600}\n")
    assert "token_multiplier" not in lengths.shown


def test_one_models_multiplier_is_generated_over_visible_tokens() -> None:
    """2,535 tokens of which 2,241 are reasoning: 2,535 / 294 = 8.6; R1 in production 1,527 / 392 = 3.9."""
    result = shipped("one-model")
    assert value(result, "o1-preview-one-call", "implied_multiplier") == pytest.approx(2535 / (2535 - 2241))
    assert value(result, "r1-in-production", "implied_multiplier") == pytest.approx(3.9, abs=0.005)
    assert result.line("r1-in-production").value("implied_multiplier_low") is None


def test_a_rating_has_no_quotient_but_odds() -> None:
    """Elo: 400 points are odds of ten to one, 10/11 of the games; the quotient stays empty."""
    result = asked("  - {basis: score, scale: elo, base: {score: 1000}, model: {score: 1400}}\n")
    assert value(result, "score", "expected_score") == pytest.approx(10 / 11)
    assert result.line("score").value("implied_multiplier") is None
    meaning = result.line("score").texts["meaning"]
    assert meaning is not None
    assert "odds of 10 to 1" in meaning


def test_percentiles_are_refused_with_a_sentence(call: Call) -> None:
    """The article's 5.6 is 62 / 11 percentiles: exit 2, and why."""
    sets = [f"observations[4].{k}" for k in ("scale=percentile", "base.score=11", "model.score=62")]
    outcome = call("implied", "scores-2024-09", *(a for s in sets for a in ("--set", s)))
    assert outcome.code == EXIT_BAD_INPUT
    assert len(outcome.errors) == 1
    assert "a ratio of percentiles is not a multiple" in outcome.errors[0]
    assert outcome.errors[0].startswith("error: --set observations[4].")


@pytest.mark.parametrize(
    ("observation", "told"),
    [
        ("{basis: latency, base: {latency_s: 3}, model: {tokens: 3}}", "model.tokens has no use under basis latency"),
        ("{basis: latency, base: {latency_s: 3}, model: {}}", "model.latency_s is missing"),
        ("{basis: latency, model: {latency_s: 3}}", "expected either a base"),
        ("{basis: quota, visible: {tokens: 3}, model: {messages: 3, window_hours: 3}}", "not tell one model's tokens"),
        ("{basis: latency, visible: {tokens: 3}, model: {latency_s: 3}}", "latency tells tokens only with"),
        ("{basis: score, base: {score: 1}, model: {score: 1}}", "a score needs scale"),
        ("{basis: score, scale: share, base: {score: 13.4}, model: {score: 56.7}}", "base.score 13.4 is not a share"),
        ("{basis: amount, base: {amount: 1}, model: {amount: 1}}", "an amount needs its unit"),
        ("{basis: characters, base: {characters: 0}, model: {characters: 1}}", "0 is zero; expected a number above 0"),
        ("{basis: bill, base: {bill_usd: 1}, model: {bill_usd: 1}}", "price_model or usd_per_mtok_output"),
        ("{basis: tokens, base: {tokens: 1, characters: 2}, model: {tokens: 1}}", "base gives both tokens and"),
    ],
)  # fmt: skip
def test_bad_observations_are_one_line(observation: str, told: str) -> None:
    """What is wrong, where, and what was expected."""
    with pytest.raises(BadInputError, match=r"q\.yaml") as caught:
        asked(f"  - {observation}\n")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bill_below_its_input_tells_no_negative_tokens() -> None:
    """$1 cannot have bought a million tokens in at $15: refused, not -233,333 tokens."""
    with pytest.raises(BadInputError, match=r"bill_usd 1 is below the cost of the input alone, 15"):
        asked(
            "  - basis: bill\n    visible: {tokens: 1}\n"
            "    model: {bill_usd: 1, input_tokens: 1e+6, usd_per_mtok_input: 15, usd_per_mtok_output: 60}\n"
        )


def test_texts_are_the_counted_quotients() -> None:
    """Chinese news: 4,899 characters are 3,063 o200k tokens; Python source: 355,985 are 73,626."""
    assert characters_per_token(CATALOG, "news-chinese", "o200k").mean == pytest.approx(4899 / 3063, rel=5e-4)
    assert characters_per_token(CATALOG, "code-python", "O200K").mean == pytest.approx(355985 / 73626, rel=5e-4)
    assert characters_per_token(CATALOG, "chain-of-thought", "gpt-9").mean == 3.3
    with pytest.raises(DataMissingError, match="Did you mean cl100k"):
        characters_per_token(CATALOG, "code-python", "cl100")
    with pytest.raises(BadInputError, match="needs a tokenizer"):
        characters_per_token(CATALOG, "code-python", None)


def test_a_text_out_of_order_is_refused() -> None:
    """A mean outside its own range is a slip."""
    text = "id: t\ntitle: t\nlanguage: t\nratios: [{tokenizer: any, characters_per_token: 3, low: 3.5}]\n"
    from planner.catalog.text import TextFile  # noqa: PLC0415 - only here

    with pytest.raises(BadInputError, match=r"3 is not between low 3\.5 and high 3"):
        load(TextFile, parse_document(text, "t.yaml"))


@settings(max_examples=50, deadline=None)
@given(st.floats(1, 1e6), st.floats(1, 1e6), st.floats(1, 10), st.floats(1, 10))
def test_characters_of_one_kind_cancel(base: float, model: float, per_token: float, times: float) -> None:
    """Of one kind of text the multiplier is the quotient of characters, whatever the characters per token."""
    result = asked(
        f"  - basis: characters\n    base: {{characters: {base!r}, characters_per_token: {per_token!r}}}\n"
        f"    model: {{characters: {model * times!r}, characters_per_token: {per_token!r}}}\n"
    )
    assert value(result, "characters", "token_multiplier") == pytest.approx(model * times / base, rel=1e-9)
    assert value(result, "characters", "implied_multiplier") == pytest.approx(model * times / base, rel=1e-9)


def test_an_unknown_price_or_text_is_exit_3(call: Call) -> None:
    """The nearest names are shown."""
    assert call("implied", "--set", "observations[2].base.price_model=gpt-4p").code == EXIT_DATA_MISSING
    assert "Did you mean gpt-4o" in call("implied", "--set", "observations[2].base.price_model=gpt-4p").err
    assert "Did you mean code-python" in call("implied", "--set", "observations[0].base.text=code-pyton").err


def test_the_meaning_is_in_every_row_but_not_in_the_table(call: Call) -> None:
    """CSV and JSON carry the note; the table says each meaning once."""
    rows = list(csv.DictReader(io.StringIO(call("implied", "--format", "csv").out)))
    assert all(row["meaning"] for row in rows)
    assert "rationing" in next(r["meaning"] for r in rows if r["basis"] == "quota")
    table = call("implied").out
    assert table.count("rationing") == 1
    inputs = json.loads(call("implied", "--format", "json").out)["provenance"]
    prices = [i for i in inputs if i["name"].endswith("usd_per_mtok_output")]
    assert {i["value"] for i in prices} == {10.0, 15.0, 60.0}
    assert all("hardware/api_prices/openai.yaml" in i["where"] for i in prices)


def test_a_file_of_ones_own(call: Call, tmp_path: Path) -> None:
    """From a file and from stdin, the same bytes."""
    text = (
        "name: mine\nas_of: 2026-01-01\nbase: a\nmodel: b\nobservations:\n"
        "  - {basis: latency, base: {latency_s: 2}, model: {latency_s: 5}}\n"
    )
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    assert "2.5×" in call("implied", path).out
    assert call("implied", "-", stdin=text).out == call("implied", path).out
    assert call("validate", path).out == f"{path}: ok (implied)\n"
