"""Spec of machines somebody owns: what they and their site cost, how long they last, what an hour of them brings."""

from collections.abc import Callable
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from planner.catalog.market import Tier
from planner.documents.spec import Count, Day, NonNegative, Positive, Share, Spec, shown
from planner.economics.questions.question import QuestionFile, named_apart

Change = Annotated[float, Field(gt=-1, le=10, allow_inf_nan=False)]
"""Relative change a year: -0.2 falls by a fifth, 0.5 rises by half."""
Life = Annotated[float, Field(ge=1, le=100)]
_LARGEST_RATE = 2
"""Beyond 200 % a year somebody wrote per cent as a number."""


class Asset(Spec):
    """Something bought for the machines that lasts its own time: the network, the building."""

    capex_usd: Positive
    """What all of it costs [USD]."""
    life_years: Life
    """Until it is bought again [years]."""
    residual_share: Share = 0.0
    """What it then still brings, as a share of its price."""


class Worth(Spec):
    """What an hour of a GPU brings: a number, or a dated price of the catalogue."""

    usd_per_gpu_hour: Positive | None = None
    """In the first year [USD/h]."""
    provider: str | None = None
    """Seller or survey of the catalogue whose price is taken instead; with its tier."""
    tier: Tier | None = None
    """Kind of price of that provider."""
    sku: str | None = None
    """Which of its prices, where it has several."""
    region: str | None = None
    """Where, if the price differs by region."""
    as_of: Day | None = None
    """The newest price seen by that day; the file's own date where left out."""
    change_per_year: Change = 0.0
    """Relative change of the price a year, of either sign; the first year has none."""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the available hours that bring it: what is sold, or used."""

    @model_validator(mode="after")
    def _one_price(self) -> Self:
        if (self.usd_per_gpu_hour is None) == (self.provider is None):
            raise ValueError("takes a number or a provider; expected either usd_per_gpu_hour, or provider and tier")
        if (self.provider is None) != (self.tier is None):
            raise ValueError("provider and tier belong together; expected both, or usd_per_gpu_hour alone")
        return self


class _NumberToo:
    """Says in the schema for editors that a number may stand in place of the mapping."""

    def __get_pydantic_json_schema__(self, core: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:  # noqa: ANN401 - pydantic's own
        """Return the schema of a number or of the mapping."""
        return {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, handler(core)]}


def _as_worth(value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"usd_per_gpu_hour": value}
    if value is None or isinstance(value, dict | Worth):
        return value
    raise ValueError(f"{shown(value)} is not valid here; expected a number [USD/h] or {{provider, tier}}")


AnyWorth = Annotated[Worth, BeforeValidator(_as_worth), _NumberToo()]
"""What an hour brings: as a number of USD, or with where it comes from."""


class Site(Spec):
    """Where the machines stand."""

    colo_usd_per_kw_month: NonNegative = 0.0
    """Rent for each kilowatt of nameplate power [USD/month]; 0 where the building is owned. Asking rents leave the
    metered power out, and cooling is in the rent: PUE then counts for the power bill only."""
    pue: Annotated[float, Field(ge=1, le=10)]
    """Facility power over IT power."""
    usd_per_kwh: NonNegative
    """Price of electricity [USD/kWh]."""
    usd_per_kwh_change_per_year: Change = 0.0
    """Relative change of that price a year."""


class Operations(Spec):
    """Who keeps them running."""

    maintenance_share: Annotated[float, Field(ge=0, le=1)]
    """Spare parts and service a year, as a share of the price of machines and network."""
    staff_usd_per_year: NonNegative = 0.0
    """Everybody's pay for this option [USD/year]."""
    other_usd_per_year: NonNegative = 0.0
    """Insurance, bandwidth, software, taxes on property [USD/year]."""
    availability: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the hours in which a GPU works."""
    change_per_year: Change = 0.0
    """Relative change of rent, maintenance, staff and the rest a year."""


class OwningOption(Spec):
    """A set of machines of one kind."""

    name: str
    """What its row is called."""
    system: str
    """Node or rack of the catalogue."""
    systems: Count = 1
    """How many."""
    capex_usd_per_system: Positive | None = None
    """Price of one [USD]; the catalogue's where left out."""
    life_years: Life
    """Until they are bought again [years]."""
    residual_share: Share = 0.0
    """What they then still bring, as a share of their price."""
    power_kw_per_system: Positive | None = None
    """Nameplate power of one [kW]; the catalogue's where left out."""
    load_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Mean power over nameplate power."""
    network: Asset | None = None
    """Network between the systems, where their price leaves it out."""
    building: Asset | None = None
    """Land, shell, power and cooling, where the site is not rented."""
    site: Site | None = None
    """Where these stand, if not at the file's site."""
    operations: Operations | None = None
    """Who keeps these running, if not as the file says."""
    rent_out: AnyWorth | None = None
    """What renting them out brings; without it there is no revenue."""
    own_use: AnyWorth | None = None
    """What an hour brings its owner who uses it: an offer not rented, or the margin of what is served."""


class OwningFile(QuestionFile):
    """scenarios/owning/<name>.yaml: machines that are owned, and whether they pay."""

    as_of: Day
    """The day these figures held; prices of the catalogue are those seen by then."""
    cost_of_capital: Annotated[float, Field(ge=0, le=_LARGEST_RATE)]
    """What money costs a year, before tax: 0.1 is 10 %."""
    horizon_years: Annotated[int, Field(ge=1, le=100)] | None = None
    """Years that NPV, IRR and payback look at; the whole years of the shortest-lived machine where left out."""
    site: Site
    """Where the machines stand."""
    operations: Operations
    """Who keeps them running."""
    options: Annotated[tuple[OwningOption, ...], Field(min_length=1), named_apart("options")]
    """Sets of machines, a row each."""
