"""Cells of a csv to numbers, moments, values and words, inside TensorFlow: the same in training and in serving.

Every function takes a string tensor of any shape whose cells went through `clean`, so that "" stands for missing, and
answers a tensor of that shape unless it says otherwise. What cannot be parsed is missing, never an error.
"""

import re

import tensorflow as tf

from datasets.inspection.values import MISSING
from jobs.algorithms.tabular.kinds import COMMA_NUMBER, POINT_NUMBER

_SPACES = r"^[\s\pZ]+|[\s\pZ]+$"
_MISSING = "|".join(re.escape(word) for word in sorted(MISSING) if word)
_TIME = r"(?:[T ]([0-2][0-9]):([0-5][0-9])(?::([0-5][0-9])(?:[.,][0-9]{1,9})?)?(?:Z|([+-][0-2][0-9]):?([0-5][0-9]))?)?"
_YEAR_FIRST = rf"([0-9]{{4}})[-./]([0-9]{{1,2}})[-./]([0-9]{{1,2}}){_TIME}"
_YEAR_LAST = rf"([0-9]{{1,2}})[-./]([0-9]{{1,2}})[-./]([0-9]{{4}}){_TIME}"
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SECONDS_A_DAY = 86_400


def clean(cells: tf.Tensor) -> tf.Tensor:
    """Cells without spaces around them; "" for all the ways to write that there is no value."""
    stripped = tf.strings.regex_replace(cells, _SPACES, "")
    return tf.where(tf.strings.regex_full_match(stripped, _MISSING), "", stripped)


def numbers(cells: tf.Tensor, *, decimal_comma: bool) -> tf.Tensor:
    """float64, NaN for what is no number."""
    pattern, rest = (COMMA_NUMBER, "[^0-9,eE+-]") if decimal_comma else (POINT_NUMBER, "[^0-9.eE+-]")
    bare = tf.strings.regex_replace(cells, rest, "")
    if decimal_comma:
        bare = tf.strings.regex_replace(bare, ",", ".")
    is_number = tf.strings.regex_full_match(cells, pattern)
    return tf.strings.to_number(tf.where(is_number, bare, "nan"), tf.float64)


def moments(cells: tf.Tensor, *, day_first: bool) -> tf.Tensor:
    """Seconds from 1970 (UTC) as float64, NaN for what is no date. Without a time zone the time is taken as UTC."""
    order = r"\3-\2-\1" if day_first else r"\3-\1-\2"
    # The groups of the time follow those of the date in both patterns.
    fields = r" \4 \5 \6 \7 \8"
    is_year_first = tf.strings.regex_full_match(cells, _YEAR_FIRST)
    is_year_last = tf.strings.regex_full_match(cells, _YEAR_LAST)
    canonical = tf.where(
        is_year_first,
        tf.strings.regex_replace(cells, _YEAR_FIRST, r"\1-\2-\3" + fields),
        tf.where(is_year_last, tf.strings.regex_replace(cells, _YEAR_LAST, order + fields), "0-0-0     "),
    )
    whole = r"^([0-9]+)-([0-9]+)-([0-9]+) ([0-9]*) ([0-9]*) ([0-9]*) ([+-]?[0-9]*) ([0-9]*)$"

    def field(group: int) -> tf.Tensor:
        digits = tf.strings.regex_replace(canonical, whole, rf"\{group}")
        return tf.strings.to_number(tf.where(tf.equal(digits, ""), "0", digits), tf.int64)

    year, month, day, hour, minute, second, zone_hour, zone_minute = (field(group) for group in range(1, 9))
    is_west = tf.strings.regex_full_match(canonical, r".* -[0-9]+ [0-9]*")
    zone = zone_hour * 3600 + tf.where(is_west, -zone_minute, zone_minute) * 60
    seconds = _days_from_1970(year, month, day) * _SECONDS_A_DAY + hour * 3600 + minute * 60 + second - zone
    is_date = _is_day(year, month, day) & (hour <= 23)
    return tf.where(is_date, tf.cast(seconds, tf.float64), tf.constant(float("nan"), tf.float64))


def words(cells: tf.Tensor) -> tf.RaggedTensor:
    """The words of each of (n,) cells in lower case: letters and digits of any script, ragged (n, words).

    Each Chinese or Japanese character is a word. A Korean word is followed by its first two syllables, which it keeps
    whatever particle is at its end.
    """
    lower = tf.strings.lower(cells, encoding="utf-8")
    spaced = tf.strings.regex_replace(lower, r"([\p{Han}\p{Hiragana}\p{Katakana}])|[^\pL\pN]+", r" \1 ")
    return tf.strings.split(tf.strings.regex_replace(spaced, r"(\p{Hangul}{2})(\p{Hangul}+)", r"\1\2 \1"))


def calendar(seconds: tf.Tensor) -> dict[str, tf.Tensor]:
    """What a calendar and a clock tell of moments (NaN gives any value), as float64.

    `year` and `hour` with the part of it that is gone, `month` 0..11, `day` 0..30, `weekday` 0..6 from Monday.
    """
    whole = tf.cast(tf.math.floor(tf.where(tf.math.is_nan(seconds), tf.zeros_like(seconds), seconds)), tf.int64)
    days, rest = whole // _SECONDS_A_DAY, whole % _SECONDS_A_DAY
    # Civil from days: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    shifted = days + 719_468
    era = shifted // 146_097
    day_of_era = shifted - era * 146_097
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_from_march + 2) // 5
    month = (month_from_march + 2) % 12
    year = year_of_era + era * 400 + tf.cast(month < 2, tf.int64)
    values = {"month": month, "day": day, "weekday": (days + 3) % 7}
    found = {name: tf.cast(value, tf.float64) for name, value in values.items()}
    found["year"] = tf.cast(year, tf.float64) + (found["month"] + found["day"] / 31) / 12
    found["hour"] = tf.cast(rest, tf.float64) / 3600
    return found


def _days_from_1970(year: tf.Tensor, month: tf.Tensor, day: tf.Tensor) -> tf.Tensor:
    """Days from civil, of the same source."""
    year = year - tf.cast(month <= 2, tf.int64)
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * 146_097 + day_of_era - 719_468


def _is_day(year: tf.Tensor, month: tf.Tensor, day: tf.Tensor) -> tf.Tensor:
    is_month = (month >= 1) & (month <= 12)
    is_leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    days = tf.gather(tf.constant(_DAYS, tf.int64), tf.clip_by_value(month - 1, 0, 11))
    days += tf.cast((month == 2) & is_leap, tf.int64)
    return is_month & (day >= 1) & (day <= days) & (year >= 1)
