"""API prices out of the package genai-prices, for models that no table of the catalogue names."""

import datetime as dt
from importlib.metadata import version
from typing import Any

from planner.economics.api_price import ApiPrice, Rates

_TOKENS, _PER_MTOK = 1000, 1000.0
"""Asked for this many tokens, so that the lowest of tiered prices answers; times this is per million."""
_NOON = 12


def packaged_price(model: str, day: dt.date) -> ApiPrice | None:
    """Return the price genai-prices gives for a model at noon UTC of a day, from its own data, offline.

    None where the package is not installed or does not know the model. Its history is thin: most prices are
    those of the package's release, whatever the day, and the result says so.
    """
    try:
        import genai_prices  # noqa: PLC0415 - an extra, 0.5 s to import
        from genai_prices.data import providers  # noqa: PLC0415 - the same
    except ImportError:
        return None
    owner, slash, rest = model.partition("/")
    providers_by_id = {p.id for p in providers}
    provider, name = (owner, rest) if slash and owner in providers_by_id else (None, model)

    def ask(context: dict[str, str] | None, hour: int = _NOON, **tokens: int) -> Any:  # noqa: ANN401 - the package's own result
        usage, at = genai_prices.Usage(**tokens), dt.datetime.combine(day, dt.time(hour), tzinfo=dt.UTC)
        return genai_prices.calc_price(
            usage, model_ref=name, provider_id=provider, genai_request_timestamp=at, price_context=context
        )

    def rates(context: dict[str, str] | None, hour: int = _NOON) -> Rates:
        totals = (
            ask(context, hour, input_tokens=_TOKENS),
            ask(context, hour, input_tokens=_TOKENS, cache_read_tokens=_TOKENS),
            ask(context, hour, output_tokens=_TOKENS),
        )
        return Rates(*(float(t.total_price) * _PER_MTOK for t in totals))

    try:
        priced = ask(None, input_tokens=_TOKENS)
        standard, batch = rates(None), rates({"processing": "batch"})
    except LookupError:
        return None
    if not standard.usd_per_mtok_input or not standard.usd_per_mtok_output:
        return None  # priced by something else than tokens: $0 would be a guess
    release = version("genai-prices")
    return ApiPrice(
        provider=priced.provider.id,
        model=priced.model.id,
        day=day,
        period=f"as genai-prices {release} has it for {day}",
        standard=standard,
        batch=batch if batch != standard else None,
        source=f"genai-prices {release} (Python package, MIT), provider {priced.provider.id}, model {priced.model.id}",
        where=f"genai-prices {release}",
        notes=_notes(priced.model.id, release, day, varies=any(rates(None, hour) != standard for hour in range(24))),
    )


def _notes(model: str, release: str, day: dt.date, *, varies: bool) -> tuple[str, ...]:
    """Return what to know of a price of the package's."""
    thin = f"API price of {model} is from genai-prices {release}, which keeps little history: check it for {day}"
    hours = f"API price of {model} varies over the day (UTC): noon's is taken"
    return (thin, hours) if varies else (thin,)


def hint() -> str:
    """Return what to install where the package is missing."""
    try:
        version("genai-prices")
    except ModuleNotFoundError:
        return "; `pip install 'inference-planner[api-prices]'` knows 2,000 more"
    return ", and genai-prices does not know it either"
