"""Inverse questions: how many times another model a model is, by what was observed of both."""

from collections.abc import Mapping, Sequence

from planner.catalog.catalog import Catalog
from planner.documents.spec import Loaded
from planner.economics.message import read_message
from planner.economics.page import QuestionResult, ResultLine, flat, page_formulas, solve_line
from planner.economics.questions.implied import ImpliedFile, Observation
from planner.errors import BadInputError
from planner.fleet.bill import api_bill
from planner.options.provenance import Input

PAGE = "economics/implied.csv"
_INFERRED = ("base_tokens", "token_multiplier")
"""Shown where tokens follow from something else than a length: there they are the result."""
_UNITS = {
    "characters": "characters",
    "tokens": "tokens",
    "latency": "s",
    "api": "USD per answer",
    "bill": "USD per answer",
    "quota": "messages a week",
}
_MEANINGS = {
    "characters": "length of an answer including its thinking; also the token ratio if both texts are of the same kind",
    "tokens": "generated tokens of one answer",
    "latency": "waiting time: it includes each model's speed and time to first token, so it is not a token ratio",
    "api": "list price of one answer: tokens times the seller's price per token, which does not measure GPU use",
    "bill": "billed dollars per answer: tokens times the seller's price per token, which does not measure GPU use",
    "quota": "rationing: what the seller is willing to serve of each; an upper bound, not the compute of a message",
    "amount": "ratio of the same quantity observed for both",
    "score": "times as many tasks solved; not times as capable, and it shrinks as the base approaches 1",
}
_ONE_MODEL = "of one model: generated tokens over visible ones, its reasoning multiplier"


def implied(question: Loaded[ImpliedFile], catalog: Catalog) -> QuestionResult:
    """Return one row per observation: the two quantities, their quotient, and the tokens where they follow.

    Raises DataMissingError for an API price, a kind of text or a tokenizer that is not known.
    """
    lines = [_line(index, seen, question, catalog) for index, seen in enumerate(question.spec.observations)]
    return QuestionResult.of(
        "implied",
        question,
        PAGE,
        lines,
        verdict=_verdict(question.spec, lines),
        shown=[name for name in page_formulas(PAGE).table if any(_shows(line, name) for line in lines)],
        aside=("basis", "meaning"),
    )


def _shows(line: ResultLine, name: str) -> bool:
    """Return whether a row gives a column of the table a reason to be there."""
    inferred = name not in _INFERRED or line.texts["basis"] in {"latency", "bill"}
    return inferred and line.value(name) is not None


def _line(index: int, seen: Observation, question: Loaded[ImpliedFile], catalog: Catalog) -> ResultLine:
    """Return the row of an observation."""
    inputs = {
        "compares.tokens": float(seen.visible is not None or seen.basis == "tokens"),
        "compares.allowances": float(seen.basis == "quota"),
        "compares.costs": float(seen.basis == "api" and seen.visible is None),
        "compares.ratings": float(seen.scale == "elo"),
        "compares.ranges": 0.0,
    }
    origins, notes = list[Input](), list[str]()
    sides = (("base", "visible" if seen.visible else "base", seen.visible or seen.base), ("model", "model", seen.model))
    for name, field, side in sides:
        read = read_message(side, ("observations", index, field), question, catalog, question.spec.as_of)
        values = {"answers": 1.0} | read.values
        if "bill_usd" in values:
            _check_bill(values, question.document.field_place(("observations", index, field)))
        inputs |= flat(name, values)
        if values.get("characters_per_token_low") != values.get("characters_per_token_high"):
            inputs["compares.ranges"] = 1.0
        origins += read.origins
        notes += read.notes
    texts = _texts(question.spec, seen)
    return solve_line(seen.name, texts, inputs, page_formulas(PAGE), origins=origins, notes=notes)


def _check_bill(values: Mapping[str, float], place: str) -> None:
    """Raise BadInputError where a bill does not cover its input: it leaves no tokens to generate."""
    prices = (values[f"usd_per_mtok_{name}"] for name in ("input", "cached_input", "output"))
    spent = api_bill(values["input_tokens"], values["cached_share"], 0.0, *prices) * values["answers"]
    if values["bill_usd"] <= spent:
        fault = f"bill_usd {values['bill_usd']:g} is below the cost of the input alone, {spent:g}"
        raise BadInputError(f"{fault}; expected a bill of input and output, input_tokens per answer", where=place)


def _texts(spec: ImpliedFile, seen: Observation) -> dict[str, str | None]:
    """Return the identity columns: who is compared, in what unit, and what the quotient means."""
    base = seen.base.name or spec.base if seen.base else "its visible answer"
    unit = "tokens" if seen.visible else seen.unit or seen.scale or _UNITS[seen.basis]
    return {
        "observation": seen.name,
        "basis": seen.basis,
        "base": base,
        "model": seen.model.name or spec.model,
        "quantity_unit": unit,
        "meaning": _meaning(seen),
    }


def _meaning(seen: Observation) -> str:
    if seen.visible is not None:
        return _ONE_MODEL
    if seen.scale == "elo" and seen.base and seen.base.score and seen.model.score:
        gap = seen.model.score - seen.base.score
        sensible = abs(gap) < _SENSIBLE
        odds = f"odds of {10 ** (gap / _ELO_DECADE):.3g} to 1" if sensible else "odds too extreme to be meaningful"
        return (
            f"a rating has no zero, so a ratio of ratings ({seen.model.score / seen.base.score:.3g}) means nothing; "
            f"the difference of {gap:,.0f} does: {odds}"
        )
    return _MEANINGS[seen.basis]


_ELO_DECADE = 400.0
"""Points of Elo rating that make the odds ten times as good."""
_SENSIBLE = 4000.0
"""A difference of ratings that nobody has."""


def _verdict(spec: ImpliedFile, lines: Sequence[ResultLine]) -> list[str]:
    """Return the multipliers in one sentence, what each means, and the characters per token."""
    multipliers = [f"{m:.4g}× by {line.label}" for line in lines if (m := line.value("implied_multiplier")) is not None]
    sentences = [f"{spec.model} against {spec.base}: {', '.join(multipliers)}"] if multipliers else []
    sentences += list(dict.fromkeys(f"{line.texts['basis']}: {line.texts['meaning']}" for line in lines))
    ratios = {
        (line.value("model_characters_per_token"), line.values["model.characters_per_token_low"],
         line.values["model.characters_per_token_high"]): None
        for line in lines if line.value("model_characters_per_token") is not None
    }  # fmt: skip
    for mean, low, high in ratios:
        around = f" ({low:.3g} to {high:.3g})" if low < high else ""
        sentences.append(f"{mean:.3g} characters per token{around}")
    return sentences
