"""Know the national holidays of a country or of a part of it. The dates are those of the `holidays` package.

It is imported when a calendar first asks for holidays, and not before.
"""

import difflib
from datetime import date
from functools import lru_cache
from typing import Final

from scheduler_daemon.domain.errors import Invalid

_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()


def check_region(country: str, subdivision: str) -> None:
    """Raise Invalid, with a near code, for a country or subdivision ("" for the whole country) that is not known."""
    from holidays import list_supported_countries

    known = list_supported_countries(include_aliases=True)
    if country not in known:
        raise _unknown(f"holidays are known of no country {country!r}", country, list(known), "DE, US or BR")
    if subdivision and subdivision not in known[country]:
        parts = list(known[country])
        some = ", ".join(parts[:5]) or "no subdivisions"
        raise _unknown(f"holidays of {country} know no subdivision {subdivision!r}", subdivision, parts, some)


@lru_cache(maxsize=2048)
def holidays_of(country: str, subdivision: str, year: int) -> dict[int, str]:
    """Return the holidays of a year by the number of the day since 1970-01-01. Names are English where it has them."""
    from holidays import country_holidays

    found = country_holidays(country, subdiv=subdivision or None, years=year, language="en_US")
    return {day.toordinal() - _EPOCH_ORDINAL: name for day, name in found.items() if day.year == year}


def _unknown(what: str, code: str, known: list[str], some: str) -> Invalid:
    near = difflib.get_close_matches(code, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {some}"
    return Invalid(f"{what}; {hint}", field="spec.rules")
