"""What a written value is: missing, a number, a date, yes or no, or else text."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

# In all the ways in which they are commonly written; cut off by spaces or not.
MISSING = frozenset(
    ["", "-", "NA", "na", "Na", "N/A", "n/a", "#N/A", "#n/a", "NaN", "nan", "NAN", "null", "Null", "NULL"]
)
_BOOLEANS = frozenset(["true", "false", "yes", "no", "y", "n", "t", "f", "on", "off"])
_LONGEST = 40  # of a number or date

# "007" is no number: its zeros would be lost. Nor is "1,5" or "1,000": the comma means one or the other.
_INTEGER = r"[+-]?(?:0|[1-9][0-9]*)"
_NUMBER = r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_TIME = r"[T ][0-2][0-9]:[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]{1,9})?)?(?:Z|[+-][0-2][0-9]:?[0-5][0-9])?"
_ISO_DATE = rf"[0-9]{{4}}-[01][0-9]-[0-3][0-9](?:{_TIME})?"
_ALL_INTEGERS, _ALL_NUMBERS = (re.compile(rf"{kind}(?:\n{kind})*") for kind in (_INTEGER, _NUMBER))
_IS_INTEGER, _IS_NUMBER, _IS_ISO_DATE = (re.compile(kind) for kind in (_INTEGER, _NUMBER, _ISO_DATE))
_IS_OTHER_DATE = re.compile(rf"([0-9]{{1,4}})([./-])([0-9]{{1,2}})\2([0-9]{{1,4}})({_TIME})?")
_STARTS = frozenset("+-.0123456789")

# Numbers further from 0 are taken for text: their squares are no numbers any more.
GREATEST = 1e150


def all_numbers(values: Sequence[str]) -> tuple[NDArray[np.float64], bool] | None:
    """The numbers that the values are, and whether all are integers; None where one of them is no number."""
    text = "\n".join(values)
    is_integer = _ALL_INTEGERS.fullmatch(text) is not None
    if not is_integer and _ALL_NUMBERS.fullmatch(text) is None:
        return None
    numbers = np.fromiter(map(float, values), np.float64, len(values))
    return (numbers, is_integer) if np.abs(numbers).max() <= GREATEST else None


def to_number(value: str) -> tuple[float, bool] | None:
    """The number that the value is, and whether it is an integer; None where it is none."""
    if value[0] not in _STARTS or len(value) > _LONGEST or not _IS_NUMBER.fullmatch(value):
        return None
    number = float(value)
    return (number, _IS_INTEGER.fullmatch(value) is not None) if abs(number) <= GREATEST else None


def is_boolean(value: str) -> bool:
    return len(value) <= 5 and value.lower() in _BOOLEANS


def to_moments(value: str) -> tuple[float | None, float | None] | None:
    """The moment that the value is, in seconds from 1970: with the day before the month, and after it.

    Both are the same where there is no doubt. Without a time zone the time is taken as UTC. None where it is no date.
    """
    if not "0" <= value[0] <= "9" or not 8 <= len(value) <= _LONGEST:
        return None
    if _IS_ISO_DATE.fullmatch(value):
        moment = _moment(value)
        return None if moment is None else (moment, moment)
    found = _IS_OTHER_DATE.fullmatch(value)
    if not found:
        return None
    one, _mark, two, three, time = found.groups()
    time = time or ""
    if len(one) == 4 and len(three) <= 2:
        moment = _moment(f"{one}-{two:0>2}-{three:0>2}{time}")
        return None if moment is None else (moment, moment)
    if len(one) > 2 or len(three) != 4:
        return None
    day_first = _moment(f"{three}-{two:0>2}-{one:0>2}{time}")
    month_first = _moment(f"{three}-{one:0>2}-{two:0>2}{time}")
    if day_first is None and month_first is None:
        return None
    return day_first, month_first


def shown_moments(moments: Iterable[float]) -> list[str]:
    """Seconds from 1970 as ISO dates, with the time where one of them has one."""
    stamps = [datetime.fromtimestamp(moment, UTC) for moment in moments]
    has_time = any(stamp.hour or stamp.minute or stamp.second or stamp.microsecond for stamp in stamps)
    return [stamp.strftime("%Y-%m-%dT%H:%M:%SZ" if has_time else "%Y-%m-%d") for stamp in stamps]


def _moment(iso: str) -> float | None:
    try:
        stamp = datetime.fromisoformat(iso)
    except ValueError:
        return None
    return (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).timestamp()
