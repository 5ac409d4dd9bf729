"""Preprocessing steps in words."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from datasets.models import Data
from datasets.preprocessing.operation import ImageOperation, Operation
from datasets.preprocessing.parameters import Choice, FileLabels, FileNames, Label, Number, Parameter, Switch
from datasets.preprocessing.registry import OPERATIONS
from datasets.preprocessing.selection import Effect
from datasets.preprocessing.split import PART_TITLES

_NAMES = 3


def described_steps(steps: list[dict[str, Any]]) -> list[str]:
    """Each step, whole or in brief, as a line: its title, and its values with their units."""
    return [_described(step) for step in steps]


def image_steps(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that every image goes through: not those that choose files or make variants."""
    return [step for step in steps if isinstance(OPERATIONS.get(step["op"]), ImageOperation)]


def effects_of(data: Data) -> list[tuple[str, str]]:
    """What each selection of files did when the data was made: its title, and the numbers."""
    return [
        (_(OPERATIONS[each["op"]].title), described_effect(Effect(each["dropped"], each["relabelled"])))
        for each in data.selections
        if each["op"] in OPERATIONS
    ]


def left_out(data: Data) -> int:
    """How many files of the parent the steps left out."""
    return sum(effect["dropped"] for effect in data.selections if effect["op"] != "drop_rejected")


def described_effect(effect: Effect) -> str:
    """What a selection did to the files."""
    told = []
    if effect.parts:
        titles = dict(PART_TITLES)
        told.append(" · ".join(f"{_(titles[part])} {count}" for part, count in effect.parts))
    elif effect.dropped:
        told.append(
            ngettext("%(count)d file left out", "%(count)d files left out", effect.dropped) % {"count": effect.dropped}
        )
    if effect.relabelled:
        words = ngettext("%(count)d file gets another label", "%(count)d files get another label", effect.relabelled)
        told.append(words % {"count": effect.relabelled})
    return ", ".join(told) or _("changes no file")


def _described(step: dict[str, Any]) -> str:
    operation = OPERATIONS.get(step["op"])
    if operation is None:  # of an older version
        return str(step["op"])
    values = ", ".join(_values(operation, step))
    return f"{_(operation.title)}: {values}" if values else _(operation.title)


def _values(operation: Operation, step: dict[str, Any]) -> list[str]:
    given = [each for each in operation.parameters if each.name in step]
    told = (
        # Of a contrast of 130 % it is not told twice that it is one.
        _value(each, step[each.name], step.get(f"{each.name}_count"), has_title=each.title != operation.title)
        for each in given
    )
    return [words for words in told if words]


def _value(parameter: Parameter, value: Any, count: int | None, *, has_title: bool) -> str:
    """The title and the value, of which there are `count` in all; a switch that is off is not told."""
    title = _(parameter.title)
    if isinstance(parameter, Number):
        return f"{title if has_title else ''} {value:.12g} {parameter.unit}".strip()
    if isinstance(parameter, Switch):
        return title if value else ""
    if isinstance(parameter, Choice):
        return f"{title}: {_(dict(parameter.options)[value])}"
    if isinstance(parameter, Label):
        return f"{title} “{value}”" if value else _("%(title)s: none") % {"title": title}
    if isinstance(parameter, FileNames | FileLabels):
        more = ", …" if len(value) > _NAMES else ""
        return f"{title} ({count or len(value)}): {', '.join(value[:_NAMES])}{more}"
    return f"{title} {value}"
