"""What a column holds and how it is learned from, judged by its cells. Pure Python: no TensorFlow."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal

from datasets.inspection.values import MISSING, is_boolean, to_moments
from dlmodeler_site.sentences import Sentence as _

Kind = Literal["number", "category", "text", "date"]

# A column is of the kind that at least this share of its values has; the others count as missing.
_FITTING, _ENOUGH = 0.95, 20
_JUDGED_VALUES = 20_000  # different ones
_FEWEST_WORDS = 3.0  # of a value of free text, on average
_EXAMPLES, _EXAMPLE_CHARACTERS = 5, 200

# Both patterns are read by Python's `re` and by RE2 in the exported graph. A first 0 makes a code of a number: "007".
_EXPONENT = r"(?:[eE][+-]?[0-9]{1,2})?"
POINT_NUMBER = (
    r"[+-]?[$€£¥₩]?\s?(?:(?:0|[1-9][0-9]{0,39}|[1-9][0-9]{0,2}(?:[,' \x{00a0}\x{202f}][0-9]{3}){1,9})"
    rf"(?:\.[0-9]{{0,40}})?|\.[0-9]{{1,40}}){_EXPONENT}\s?[%€₩]?"
)
COMMA_NUMBER = (
    r"[+-]?[$€£¥₩]?\s?(?:(?:0|[1-9][0-9]{0,39}|[1-9][0-9]{0,2}(?:[.' \x{00a0}\x{202f}][0-9]{3}){1,9})"
    rf"(?:,[0-9]{{0,40}})?|,[0-9]{{1,40}}){_EXPONENT}\s?[%€₩]?"
)
_IS_POINT, _IS_COMMA = (
    re.compile(pattern.replace(r"\x{00a0}", "\u00a0").replace(r"\x{202f}", "\u202f"), re.ASCII)
    for pattern in (POINT_NUMBER, COMMA_NUMBER)
)
_NOT_DIGITS = {False: re.compile(r"[^0-9.eE+-]"), True: re.compile(r"[^0-9,eE+-]")}
_ID_NAME = re.compile(
    r"(?:.*[^a-z])?(?:id|uid|uuid|guid|index|idx|key|no|nr|row|rowid|rownum|row number)|.*(?:ID|Id)|unnamed.*|column 1|"
    r".*(?:번호|순번|아이디)"
)


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        left_out: why nothing is learned from it; "" where it is.
        decimal_comma: of numbers: "1.234,5" and not "1,234.5".
        day_first: of dates such as 01/02/2024.
        is_boolean: of categories: upper and lower case are the same.
        optional: values are missing in rows that were learned from, so that a row without the column is nothing new.
    """

    name: str
    kind: Kind
    left_out: str = ""
    decimal_comma: bool = False
    day_first: bool = False
    is_boolean: bool = False
    optional: bool = False
    examples: tuple[str, ...] = ()


def parse_number(value: str, *, decimal_comma: bool) -> float | None:
    """The number that a stripped cell is, None where it is none; as `parsing.numbers` does in the exported graph."""
    if not (_IS_COMMA if decimal_comma else _IS_POINT).fullmatch(value):
        return None
    bare = _NOT_DIGITS[decimal_comma].sub("", value)
    return float(bare.replace(",", ".") if decimal_comma else bare)


def number_style(values: Counter[str]) -> tuple[bool, int]:
    """Whether the decimal mark of a column is the comma, and how many of its values are numbers then."""
    point = sum(count for value, count in values.items() if _IS_POINT.fullmatch(value))
    comma = sum(count for value, count in values.items() if _IS_COMMA.fullmatch(value))
    return comma > point, max(point, comma)


def fits(fitting: int, total: int) -> bool:
    """Whether so many of all values are enough to name a column by them."""
    return fitting > 0 and (fitting == total or (total >= _ENOUGH and fitting >= _FITTING * total))


def judge(name: str, cells: Sequence[str], *, rows: int) -> Column:
    """The column's kind, by cells of a table of so many rows, in its order (a sample will do)."""
    counted = Counter(cell.strip() for cell in cells)
    for word in MISSING:
        counted.pop(word, None)
    present = sum(counted.values())
    if not present:
        return Column(name, "category", left_out=_("it is empty"), optional=True)
    examples = tuple(value[:_EXAMPLE_CHARACTERS] for value, _count in counted.most_common(_EXAMPLES))
    column = partial(Column, name, optional=present < len(cells), examples=examples)
    if len(counted) == 1 and present == len(cells):
        return column("category", left_out=_("it has the same value in all rows"))
    judged = counted
    if len(counted) > _JUDGED_VALUES:
        judged = Counter(dict(list(counted.items())[:_JUDGED_VALUES]))
    total = sum(judged.values())
    decimal_comma, numbers = number_style(judged)
    all_distinct = len(counted) == present == len(cells) and present >= _ENOUGH
    if fits(numbers, total):
        left_out = _why_a_key(name, cells, rows) if all_distinct else ""
        return column("number", left_out=left_out, decimal_comma=decimal_comma)
    if fits(sum(count for value, count in judged.items() if is_boolean(value)), total):
        return column("category", is_boolean=True)
    dates, day_first = _dates(judged)
    if fits(dates, total):
        return column("date", day_first=day_first)
    words = sum(len(value.split()) * count for value, count in judged.items()) / total
    if words >= _FEWEST_WORDS and len(counted) > max(_ENOUGH, present / 20):
        return column("text")
    if len(counted) >= 0.98 * present and present >= _ENOUGH:
        if words >= 2 or _has_long_values(judged):
            return column("text")
        return column("category", left_out=_("nearly every row has a value of its own"))
    return column("category")


def _has_long_values(values: Counter[str]) -> bool:
    """Sentences in a script without spaces."""
    wide = sum(count for value, count in values.items() if len(value) >= 8 and not value.isascii())
    return wide * 2 > values.total()


def _why_a_key(name: str, cells: Sequence[str], rows: int) -> str:
    """Why a column of numbers that are all different is only a name of the row; "" where it is not."""
    try:
        numbers = [int(cell) for cell in cells]
    except ValueError:
        return ""
    if _ID_NAME.fullmatch(name.strip()) or _ID_NAME.fullmatch(name.strip().lower()):
        return _("its numbers name the rows")
    rising = all(one < two for one, two in pairwise(numbers))
    if rising and numbers[0] <= _EXAMPLES and numbers[-1] <= rows + _EXAMPLES:
        return _("its numbers count the rows")
    return ""


def _dates(values: Counter[str]) -> tuple[int, bool]:
    """How many of the values are dates, and whether the day comes first where that is open."""
    sure = day_first = month_first = 0
    for value, count in values.items():
        moments = to_moments(value)
        if moments is None:
            continue
        day, month = moments
        if month is None:
            day_first += count
        elif day is None:
            month_first += count
        else:
            sure += count
    return sure + max(day_first, month_first), day_first >= month_first
