"""One part of a split into training, validation and test."""

import hashlib
from collections import Counter, defaultdict
from dataclasses import replace

from datasets.preprocessing.alike import groups_of_alike
from datasets.preprocessing.operation import Mistake, SelectionOperation, Values
from datasets.preprocessing.parameters import Choice, Number, Switch
from datasets.preprocessing.selection import Effect, Files
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import gettext_noop

PART_TITLES = (
    ("train", gettext_noop("Training")),
    ("validation", gettext_noop("Validation")),
    ("test", gettext_noop("Test")),
)
PARTS = tuple(part for part, _title in PART_TITLES)
_MOST_SEED = 2**31 - 1


def _select(files: Files, values: Values) -> Effect:
    parts = split(files, values)
    counted = Counter(parts.values())
    effect = files.drop([place for place in files.indices() if parts[place] != values["part"]])
    return replace(effect, parts=tuple((part, counted[part]) for part in PARTS if values[part] > 0))


def split(files: Files, values: Values) -> dict[int, str]:
    """The part of every file that is still there; the same for the same files, labels, percents and seed.

    Files that are equal or look alike go into the same part, under the label of their first. Label by label each part
    gets its share by largest remainder; what one label leaves over is made up for by the next, so that the parts' sizes
    are right in total as well. Within a label the seed decides: files are in the order of a hash of seed and name.
    """
    grouped = groups_of_alike(files, near=True)
    inside = {place for group in grouped for place in group}
    units = grouped + [[place] for place in files.indices() if place not in inside]
    strata: defaultdict[str, list[list[int]]] = defaultdict(list)
    for unit in units:
        strata[files.labels[unit[0]] if values["stratified"] else ""].append(unit)
    percents = {part: values[part] for part in PARTS if values[part] > 0}
    wanting = dict.fromkeys(percents, 0)  # how many hundredths of a file each part is still to get
    chosen: dict[int, str] = {}
    for label in sorted(strata):
        ordered = sorted(strata[label], key=lambda unit: (-len(unit), _drawn(values["seed"], files.names[unit[0]])))
        count = sum(map(len, ordered))
        for part, percent in percents.items():
            wanting[part] += count * percent
        for unit in ordered:
            part = max(wanting, key=lambda each: wanting[each])
            wanting[part] -= 100 * len(unit)
            chosen |= dict.fromkeys(unit, part)
    return chosen


def _drawn(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()


def _check(values: Values) -> Mistake | None:
    total = sum(values[part] for part in PARTS)
    if total != 100:
        return Mistake("test", _("the three parts make %(total)d %%; they must make 100 %%.", total=total))
    if values[values["part"]] == 0:
        return Mistake("part", _("the part %(part)s has 0 %%.", part=values["part"]))
    return None


OPERATION = SelectionOperation(
    name="split",
    title=gettext_noop("Split"),
    help=gettext_noop(
        "Splits the files into training, validation and test data; what looks alike stays together, "
        "and each label is shared out alike."
    ),
    select=_select,
    check=_check,
    parameters=(
        Choice(
            "part",
            gettext_noop("Part"),
            PART_TITLES,
        ),
        Number("train", gettext_noop("Training"), 0, 100, 70, "%", is_integer=True, is_optional=True),
        Number("validation", gettext_noop("Validation"), 0, 100, 20, "%", is_integer=True, is_optional=True),
        Number("test", gettext_noop("Test"), 0, 100, 10, "%", is_integer=True, is_optional=True),
        Number("seed", gettext_noop("Seed"), 0, _MOST_SEED, 0, "", is_integer=True, is_optional=True),
        Switch("stratified", gettext_noop("Share out each label alike"), default=True),
    ),
)
