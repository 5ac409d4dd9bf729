"""The fields of preprocessing steps, made from the operations' own description."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from datasets.preprocessing.operation import AUGMENTATION, COLOUR, GEOMETRY, SELECTION, Operation
from datasets.preprocessing.parameters import Choice, FileLabels, FileNames, Label, Number, Parameter, Switch
from datasets.preprocessing.registry import MAX_STEPS, OPERATIONS

GROUP_TITLES: dict[str, Promise] = {
    GEOMETRY: gettext_lazy("Geometry"),
    COLOUR: gettext_lazy("Colour"),
    SELECTION: gettext_lazy("Selection of files"),
    AUGMENTATION: gettext_lazy("Augmentation"),
}
ANY_PLACE = "__place__"  # of the fields of a step that is not in the list yet; the script puts the place in
_CLASSES = {"checkbox": "form-check-input", "select": "form-select"}
_OF_FIELD = re.compile(r"step-(\d{1,4})-op")


class StepForm(forms.Form):
    """One step of the list. The part of a split is no field: the page makes all of them."""

    def __init__(
        self, operation: Operation, data: Mapping[str, Any] | None = None, *, place: int | str, **kwargs: Any
    ) -> None:
        super().__init__(data, prefix=f"step-{place}", **kwargs)
        self.operation = operation
        for parameter in operation.parameters:
            if (operation.name, parameter.name) != ("split", "part"):
                field = self.fields[parameter.name] = _field(parameter)
                kind = getattr(field.widget, "input_type", "text")
                field.widget.attrs["class"] = _CLASSES.get(kind, "form-control")

    @property
    def title(self) -> str:
        return gettext(self.operation.title)

    @property
    def help(self) -> str:
        return gettext(self.operation.help)

    @property
    def units(self) -> list[tuple[forms.BoundField, str]]:
        """Each field with its unit."""
        units = {each.name: each.unit for each in self.operation.parameters if isinstance(each, Number)}
        return [(self[name], units.get(name, "")) for name in self.fields]

    def step(self) -> dict[str, Any]:
        """The step as the API takes it, without what was not given."""
        self.is_valid()
        given = {name: value for name, value in self.cleaned_data.items() if value is not None}
        return {"op": self.operation.name, **given}


class StepList:
    """The steps of a form, in their order."""

    def __init__(self, forms: Sequence[StepForm]) -> None:
        self.forms = list(forms)

    @classmethod
    def posted(cls, data: Mapping[str, str]) -> "StepList":
        """From the fields of a request: `step-0-op` names an operation, `step-0-width` is a value of it."""
        places = sorted(int(found[1]) for name in data if (found := _OF_FIELD.fullmatch(name)))
        operations = [(place, OPERATIONS.get(data[f"step-{place}-op"])) for place in places]
        return cls([StepForm(each, data, place=place) for place, each in operations if each][: MAX_STEPS + 1])

    @classmethod
    def of(cls, steps: Sequence[dict[str, Any]]) -> "StepList":
        """Of steps as the API takes them, to be changed."""
        known = [step for step in steps if step["op"] in OPERATIONS]
        return cls([StepForm(OPERATIONS[step["op"]], place=place, initial=step) for place, step in enumerate(known)])

    def __iter__(self) -> Iterator[StepForm]:
        return iter(self.forms)

    def __len__(self) -> int:
        return len(self.forms)

    def is_valid(self) -> bool:
        valid = [form.is_valid() for form in self.forms]  # of each, so that each shows its mistakes
        return all(valid)

    def steps(self) -> list[dict[str, Any]]:
        return [form.step() for form in self.forms]

    @property
    def mistake(self) -> str:
        """The first value that makes no sense, in words."""
        for number, form in enumerate(self.forms, 1):
            for name, messages in form.errors.items():
                where = form[name].label if name in form.fields else form.title
                return gettext("Step %(step)d, %(field)s: %(message)s") % {
                    "step": number,
                    "field": where,
                    "message": messages[0],
                }
        return ""

    def add_errors(self, details: Sequence[dict[str, Any]]) -> bool:
        """Show mistakes (`StepError.details`) on their steps and fields; answers whether any is shown."""
        placed = [detail for detail in details if detail["step"] is not None and detail["step"] < len(self.forms)]
        for detail in placed:
            form = self.forms[detail["step"]]
            field = detail["parameter"] if detail["parameter"] in form.fields else None
            if field is None or field not in form.errors:
                form.add_error(field, detail["message"])
        return bool(placed)


@dataclass(frozen=True)
class OperationGroup:
    """Operations of one kind, each as a step that may be added to the list."""

    title: str
    forms: list[StepForm]


def operation_groups() -> list[OperationGroup]:
    """What can be added, kind by kind."""
    groups = groupby(OPERATIONS.values(), key=lambda operation: operation.group)
    return [
        OperationGroup(str(GROUP_TITLES[group]), [StepForm(each, place=ANY_PLACE) for each in operations])
        for group, operations in groups
    ]


class _NamesField(forms.CharField):
    """Names of files, one a line."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [line for line in (value or "").splitlines() if line.strip()]

    def validate(self, value: Any) -> None:
        if self.required and not value:
            raise forms.ValidationError(self.error_messages["required"], code="required")

    def run_validators(self, value: Any) -> None:
        """The registry says what is wrong with names."""


class _LabelsField(_NamesField):
    """Labels, one a line; a blank line is no label."""

    def to_python(self, value: Any) -> Any:
        return (value or "").splitlines()


def _field(parameter: Parameter) -> forms.Field:
    title = gettext(parameter.title)
    if isinstance(parameter, Number):
        return _number_field(parameter, title)
    if isinstance(parameter, Switch):
        return forms.BooleanField(label=title, required=False, initial=parameter.default)
    if isinstance(parameter, Choice):
        choices = [(value, gettext(words)) for value, words in parameter.options]
        return forms.ChoiceField(label=title, choices=choices, initial=parameter.default)
    if isinstance(parameter, FileNames):
        errors = {"required": gettext("Give at least one name.")}
        field = _NamesField(label=title, help_text=gettext("One name a line."), error_messages=errors)
        field.widget.attrs["rows"] = 3
        return field
    if isinstance(parameter, FileLabels):
        help_text = gettext("One for each of the names, in their order; a blank line for no label.")
        errors = {"required": gettext("Give at least one label.")}
        field = _LabelsField(label=title, help_text=help_text, error_messages=errors)
        field.widget.attrs["rows"] = 3
        return field
    if isinstance(parameter, Label):
        return forms.CharField(label=title, required=False, help_text=gettext("Blank for no label."))
    raise TypeError(f"no field for {type(parameter).__name__}")


def _number_field(parameter: Number, title: str) -> forms.Field:
    kind: type[forms.Field] = forms.IntegerField if parameter.is_integer else forms.FloatField
    limits: dict[str, Any] = {"min_value": parameter.minimum, "max_value": parameter.maximum}
    ends = {"least": f"{parameter.minimum:.12g}", "most": f"{parameter.maximum:.12g}"}
    outside = gettext("Give a number from %(least)s to %(most)s.") % ends
    errors = {"required": gettext("Give a number, or remove this step."), "min_value": outside, "max_value": outside}
    field = kind(label=title, initial=f"{parameter.default:g}", error_messages=errors, **limits)
    field.widget.attrs["step"] = 1 if parameter.is_integer else "any"
    return field
