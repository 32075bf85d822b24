"""The one place that asks the calendar."""

import datetime as dt


def today() -> dt.date:
    """Return the date of today, UTC: what `prices.as_of: latest` means."""
    return dt.datetime.now(tz=dt.UTC).date()
