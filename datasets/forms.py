"""The forms of datasets and data."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django import forms
from django.utils.translation import gettext, gettext_lazy

from datasets.choices import IMAGES, completed_data
from datasets.models import Data
from datasets.preprocessing.operation import Operation, Parameter
from datasets.preprocessing.registry import OPERATIONS
from dlmodeler_site.forms import NamedForm
from projects.models import Project


class DataForm(NamedForm):
    """A raw data's words; its files follow by themselves."""

    labels_from_folders = forms.BooleanField(
        label=gettext_lazy("Folder names are labels"),
        required=False,
        help_text=gettext_lazy("A file's label is the name of the folder that it lies in, as in forest/1.jpg."),
    )


class NewDatasetForm(DataForm):
    """A dataset and its first raw data."""

    dataset_name = forms.CharField(label=gettext_lazy("Name"), max_length=100)
    dataset_description = forms.CharField(
        label=gettext_lazy("Description"), max_length=2000, required=False, widget=forms.Textarea
    )


@dataclass(frozen=True)
class OperationFields:
    """An operation's fields in the form: the switch, and a number for each parameter with its unit."""

    operation: Operation
    switch: forms.BoundField
    values: list[tuple[forms.BoundField, str]]


class PreprocessForm(NamedForm):
    """Which data, which operations, and what the result is called. The operations run in the order shown."""

    on_error = forms.ChoiceField(
        label=gettext_lazy("Files that cannot be preprocessed"),
        choices=[
            (Data.OnError.FAIL, gettext_lazy("Fail, and list them")),
            (Data.OnError.SKIP, gettext_lazy("Skip them, and list them in the result")),
        ],
        initial=Data.OnError.FAIL,
        widget=forms.RadioSelect,
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.choosable = completed_data(project, content=IMAGES).order_by("dataset__name", "dataset", "-created_at")
        choices = [("", gettext_lazy("Choose a data")), *_grouped(self.choosable)]
        self.fields["data_id"] = forms.TypedChoiceField(label=gettext_lazy("Data"), coerce=int, choices=choices)
        for operation in OPERATIONS.values():
            self.fields[f"op-{operation.name}"] = forms.BooleanField(label=gettext(operation.title), required=False)
            for parameter in operation.parameters:
                self.fields[_field_name(operation, parameter)] = _number_field(parameter)

    def operations(self) -> Iterator[OperationFields]:
        """The fields, operation by operation."""
        for operation in OPERATIONS.values():
            values = [(self[_field_name(operation, each)], each.unit) for each in operation.parameters]
            yield OperationFields(operation, self[f"op-{operation.name}"], values)

    def clean(self) -> dict[str, Any]:
        """Numbers are asked for only where their operation is on."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for operation in OPERATIONS.values():
            on = cleaned.get(f"op-{operation.name}")
            for parameter in operation.parameters:
                field = _field_name(operation, parameter)
                if not on:
                    self.errors.pop(field, None)
                elif cleaned.get(field) is None and field not in self.errors:
                    self.add_error(field, gettext("Give a number, or switch this off."))
        return cleaned

    def steps(self) -> list[dict[str, Any]]:
        """The chosen steps; unchecked where the form is not valid."""
        cleaned = self.cleaned_data
        return [
            {"op": operation.name}
            | {each.name: cleaned.get(_field_name(operation, each)) for each in operation.parameters}
            for operation in OPERATIONS.values()
            if cleaned.get(f"op-{operation.name}")
        ]

    def source(self) -> Data | None:
        """The data chosen."""
        found: Data | None = self.choosable.filter(pk=self.cleaned_data.get("data_id") or 0).first()
        return found


def _field_name(operation: Operation, parameter: Parameter) -> str:
    return f"{operation.name}-{parameter.name}"


def _number_field(parameter: Parameter) -> forms.Field:
    kind: type[forms.Field] = forms.IntegerField if parameter.is_integer else forms.FloatField
    limits: dict[str, Any] = {"min_value": parameter.minimum, "max_value": parameter.maximum}
    field = kind(label=gettext(parameter.title), required=False, initial=f"{parameter.default:g}", **limits)
    field.widget.attrs.update({"class": "form-control", "step": f"{parameter.step:g}"})
    return field


def _grouped(data: Any) -> list[tuple[str, list[tuple[int, str]]]]:
    return [
        (dataset.name, [(each.pk, f"{each.name} ({each.file_count})") for each in group])
        for dataset, group in groupby(data, key=lambda each: each.dataset)
    ]
