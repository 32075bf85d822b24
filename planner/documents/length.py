"""A quantity per request, such as its input tokens: a number, a distribution or a histogram."""

from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema, model_validator

from planner.documents.spec import NonNegative, Positive, Spec, shown

_WIDEST = 1e6
"""Largest p90 over p50 that a lognormal is fitted to."""
_EXPECTED_LENGTH = "expected a number, {mean, cv}, {p50, p90} or {histogram: file.csv}"


def _as_mapping(value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"mean": value}
    if value is None or isinstance(value, dict | Length):
        return value
    fault = "is text" if isinstance(value, str) else "is not valid here"
    raise ValueError(f"{shown(value)} {fault}; {_EXPECTED_LENGTH}")


class Length(Spec):
    """A quantity per request: a constant, a lognormal (mean + cv, or p50 + p90), or a histogram."""

    mean: NonNegative | None = None
    cv: NonNegative | None = None
    """Coefficient of variation: standard deviation over mean."""
    p50: Positive | None = None
    p90: Positive | None = None
    histogram: str | None = None
    """CSV file with the columns tokens and weight, relative to the scenario's folder."""
    points: tuple[tuple[NonNegative, NonNegative], ...] | None = None
    """A histogram as a list of [value, weight] pairs."""

    @model_validator(mode="after")
    def _one_form(self) -> "Length":
        given = {k for k in ("mean", "cv", "p50", "p90") if getattr(self, k) is not None}
        has_points = self.points is not None
        if has_points and not given:
            if not self.points or sum(w for _, w in self.points) <= 0:
                raise ValueError("the weights of the histogram sum to 0; expected rows of value and weight")
            return self
        if given in ({"mean"}, {"mean", "cv"}) and not has_points:
            return self
        if given == {"p50", "p90"} and not has_points:
            ratio = (self.p90 or 0.0) / (self.p50 or 1.0)
            if not 1.0 <= ratio <= _WIDEST:
                fault = "is below" if ratio < 1.0 else f"is more than {_WIDEST:g} times"
                raise ValueError(f"p90 {self.p90:g} {fault} p50 {self.p50:g}; expected a p90 above the p50")
            return self
        raise ValueError(_EXPECTED_LENGTH)

    def typical(self) -> float:
        """Return the mean, or the median of a length given by p50 and p90."""
        if self.points:
            return sum(x * w for x, w in self.points) / sum(w for _, w in self.points)
        return float(self.mean if self.mean is not None else self.p50 or 0.0)


_NUMBER = {"type": "number", "minimum": 0}


def _form(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:  # noqa: ANN401 - parts of a schema
    """Return the JSON Schema of one form of a length."""
    properties |= {"source": {"type": "string"}}
    return {"type": "object", "properties": properties, "required": [*required], "additionalProperties": False}


LENGTH_SCHEMA = {
    "anyOf": [
        _NUMBER,
        _form(("mean",), mean=_NUMBER, cv=_NUMBER),
        _form(("p50", "p90"), p50=_NUMBER, p90=_NUMBER),
        _form(("histogram",), histogram={"type": "string"}),
        _form(("points",), points={"type": "array", "items": {"type": "array", "items": _NUMBER}}),
    ]
}
AnyLength = Annotated[Length, BeforeValidator(_as_mapping), WithJsonSchema(LENGTH_SCHEMA)]
