"""The forms of jobs and trainings."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from datasets.models import Data
from dlmodeler_site.forms import NamedForm, SiteForm
from dlmodeler_site.parameters import as_whole_number
from jobs.algorithms.base import Hyperparameter, HyperparameterError, Manifest
from jobs.algorithms.registry import manifests
from jobs.definition import JobDraft
from jobs.models import Instance, InstanceKind, Job
from jobs.submit import MOST_TRAININGS, NAME_LENGTH, TrainingRequest
from projects.models import Project

DEFAULTS_OF = "defaults_of"
CLASS_NAMES_HELP = gettext_lazy("One line for each label, such as 0=forest. Pages and predictions then speak in names.")


class InstanceForm(SiteForm):
    """CPU, or GPU with a count."""

    instance_kind = forms.ChoiceField(
        label=gettext_lazy("Instance"),
        choices=InstanceKind.choices,
        widget=forms.RadioSelect,
        initial=InstanceKind.CPU,
    )
    instance_count = forms.IntegerField(
        label=gettext_lazy("Number of GPUs"), min_value=1, max_value=64, initial=1, required=False
    )

    def instance(self) -> Instance:
        kind = self.cleaned_data["instance_kind"]
        count = self.cleaned_data["instance_count"] or 1
        return Instance(kind, count if kind == InstanceKind.GPU else 1)

    def add_error(self, field: Any, error: Any) -> None:
        super().add_error("instance_kind" if field == "instance" else field, error)


class DataFields(SiteForm):
    """A picker for each input that the algorithm reads, named `inputs.<name>`, and for images the class names."""

    class_names = forms.CharField(
        label=gettext_lazy("Class names"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "placeholder": "0=forest\n1=buildings"}),
        help_text=CLASS_NAMES_HELP,
    )

    def __init__(self, *args: Any, project: Project, manifest: Manifest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        self.input_names = [each.name for each in manifest.inputs]
        for each in manifest.inputs:
            field = forms.IntegerField(
                label=_(each.title),
                help_text=_(each.help) if each.help else "",
                required=False,
                widget=forms.HiddenInput,
            )
            field.wanted_content = each.content  # type: ignore[attr-defined]
            self.fields[f"inputs.{each.name}"] = field
        if manifest.reads == "table":  # its classes are called as they stand there
            del self.fields["class_names"]

    def pickers(self) -> list[dict[str, Any]]:
        """What the path browsers of the page need; one query."""
        chosen = {name: self[f"inputs.{name}"].value() for name in self.input_names}
        ids = [pk for value in chosen.values() if (pk := as_whole_number(str(value or ""))) is not None]
        found = Data.objects.filter(dataset__project=self.project, pk__in=ids).select_related("dataset__project")
        paths = {str(data.pk): data.path for data in found}
        return [
            {
                "id": f"id_{name}",
                "bound": self[f"inputs.{name}"],
                "content": self.fields[f"inputs.{name}"].wanted_content,  # type: ignore[attr-defined]
                "value": value or "",
                "path": paths.get(str(value), ""),
            }
            for name, value in chosen.items()
        ]

    def inputs(self) -> dict[str, int]:
        given = {name: self.cleaned_data.get(f"inputs.{name}") for name in self.input_names}
        return {name: pk for name, pk in given.items() if pk}

    def clean_class_names(self) -> dict[str, str]:
        names: dict[str, str] = {}
        for number, line in enumerate(self.cleaned_data["class_names"].splitlines(), start=1):
            label, equals, name = (part.strip() for part in line.partition("="))
            if not line.strip():
                continue
            if not equals or not label or not name:
                raise forms.ValidationError(
                    _("Line %(number)s: expected a label, = and a name, such as 0=forest; received “%(line)s”.")
                    % {"number": number, "line": line.strip()[:80]}
                )
            if label in names:
                raise forms.ValidationError(
                    _("Line %(number)s: the label “%(label)s” has a name already.") % {"number": number, "label": label}
                )
            names[label] = name
        return names


class BasicJobForm(DataFields, NamedForm):
    """A job with a built-in algorithm."""

    algorithm = forms.ChoiceField(
        label=gettext_lazy("Algorithm"), choices=lambda: [(each.name, _(each.title)) for each in manifests()]
    )
    field_order = ("name", "description", "algorithm")

    def __init__(self, *args: Any, manifest: Manifest, **kwargs: Any) -> None:
        super().__init__(*args, manifest=manifest, **kwargs)
        self.fields["algorithm"].initial = manifest.name

    def draft(self) -> JobDraft:
        return JobDraft(
            name=self.cleaned_data["name"],
            description=self.cleaned_data["description"],
            algorithm=self.cleaned_data["algorithm"],
            inputs=self.inputs(),
            class_names=self.cleaned_data.get("class_names", {}),
        )


class CustomJobForm(InstanceForm, NamedForm):
    """A job with code of one's own."""

    field_order = ("name", "description")

    def draft(self) -> JobDraft:
        return JobDraft(
            name=self.cleaned_data["name"],
            description=self.cleaned_data["description"],
            kind=Job.Kind.CUSTOM,
            instance=self.instance(),
        )


class EditBasicJobForm(DataFields, NamedForm):
    """What of a basic job can be changed."""

    field_order = ("name", "description")

    @staticmethod
    def initial_of(job: Job) -> dict[str, Any]:
        return {
            "name": job.name,
            "description": job.description,
            "class_names": "\n".join(f"{label}={name}" for label, name in job.class_names.items()),
            **{f"inputs.{name}": pk for name, pk in job.input_ids.items()},
        }


@dataclass(frozen=True)
class FieldGroup:
    """Fields under one title; "" = always in sight."""

    title: str
    fields: list[forms.BoundField]

    @property
    def wrong(self) -> bool:
        return any(field.errors for field in self.fields)


class TrainingForm(SiteForm):
    """One training of several: its name and its hyperparameters. Values are judged by `jobs.submit`, not here.

    Fields start with the defaults of a variant. `defaults_of` says which: values that are still those are not sent on
    where another variant was chosen, whose own defaults stand then.
    """

    name = forms.CharField(label=gettext_lazy("Name"), max_length=NAME_LENGTH, required=False)

    def __init__(self, *args: Any, manifest: Manifest, columns: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.manifest = manifest
        self.fields["name"].widget.attrs["required"] = True
        variant = manifest.variant_of(self.initial)
        if manifest.variant:
            self.fields[DEFAULTS_OF] = forms.CharField(
                required=False, initial=variant, widget=forms.HiddenInput(attrs={"data-defaults-of": ""})
            )
        for each in manifest.hyperparameters:
            self.fields[each.name] = _field(each, manifest, variant, columns)
            if each.name in self.initial:
                self.initial[each.name] = _text(self.initial[each.name])
        for name, field in self.fields.items():
            wrong = " is-invalid" if self.is_bound and self.errors.get(name) else ""
            kind = "form-select" if isinstance(field.widget, forms.Select) else "form-control"
            field.widget.attrs["class"] = f"{kind} {kind}-sm{wrong}"

    def add_error(self, field: str | None, error: Any) -> None:
        super().add_error(field, error)
        if field:
            self.fields[field].widget.attrs["class"] += " is-invalid"

    def groups(self) -> list[FieldGroup]:
        """The visible fields: those always in sight, then the folded ones, each group under its title."""
        titles = {each.name: _(each.group) if each.group else "" for each in self.manifest.hyperparameters}
        groups: dict[str, list[forms.BoundField]] = {"": []}
        for bound in self.visible_fields():
            groups.setdefault(titles.get(bound.name, ""), []).append(bound)
        return [FieldGroup(title, fields) for title, fields in groups.items()]

    def request(self) -> TrainingRequest:
        given = {each.name: self.cleaned_data[each.name] for each in self.manifest.hyperparameters}
        shown = self.cleaned_data.get(DEFAULTS_OF, "")
        if shown and given.get(self.manifest.variant) != shown:
            for each in self.manifest.hyperparameters:
                if each.name != self.manifest.variant and _is(each, given[each.name], each.default_for(shown)):
                    given[each.name] = ""
        return TrainingRequest(self.cleaned_data["name"], given)


def _is(hyperparameter: Hyperparameter, text: str, value: Any) -> bool:
    try:
        return value is not None and hyperparameter.parse(text) == value
    except HyperparameterError:
        return False


class BaseTrainingFormSet(forms.BaseFormSet):
    """The columns of the page; `details["trainings"]` of a UserError goes to the fields at fault."""

    def show(self, wrong: dict[str, dict[str, str]]) -> None:
        for index, sentences in wrong.items():
            for name, sentence in sentences.items():
                form = self.forms[int(index)]
                form.add_error(name if name in form.fields else None, sentence)


TrainingFormSet: type[BaseTrainingFormSet] = forms.formset_factory(  # type: ignore[assignment]
    TrainingForm,
    formset=BaseTrainingFormSet,
    extra=0,
    min_num=1,
    max_num=MOST_TRAININGS,
    absolute_max=MOST_TRAININGS,
    validate_max=True,
)


def _field(hyperparameter: Hyperparameter, manifest: Manifest, variant: str, columns: Sequence[str]) -> forms.Field:
    """The field, whose widget tells the page's script which variants it is of and how each starts."""
    words = [_(hyperparameter.title), _(hyperparameter.help), hyperparameter.allowed()]
    shared: dict[str, Any] = {
        "label": hyperparameter.name,
        "required": False,
        "initial": hyperparameter.default_for(variant),
        "help_text": ". ".join(word.rstrip(".") for word in words if word) + ".",
    }
    attrs: dict[str, Any] = {}
    if hyperparameter.name == manifest.variant:
        attrs["data-variant"] = ""
    if hyperparameter.variants:
        attrs["data-applies-to"] = " ".join(hyperparameter.variants)
    if hyperparameter.defaults:
        choices = manifest.hyperparameter(manifest.variant).choices
        attrs["data-defaults"] = json.dumps({each: _text(hyperparameter.default_for(each)) for each in choices})
    if hyperparameter.type == "choice":
        options = [(each, each) for each in hyperparameter.choices]
        return forms.ChoiceField(choices=options, widget=forms.Select(attrs=attrs), **shared)
    if hyperparameter.type == "bool":
        shared["initial"] = _text(shared["initial"])
        options = [("true", _("Yes")), ("false", _("No"))]
        return forms.ChoiceField(choices=options, widget=forms.Select(attrs=attrs), **shared)
    if hyperparameter.type == "column" and columns:
        options = [("", _("Choose a column")), *((name, name) for name in columns)]
        return forms.ChoiceField(choices=options, widget=forms.Select(attrs=attrs), **shared)
    attrs |= {"autocomplete": "off"}
    if hyperparameter.type != "column":
        attrs |= {"inputmode": "decimal"}
    length = 500 if hyperparameter.type == "column" else 30
    return forms.CharField(max_length=length, widget=forms.TextInput(attrs=attrs), **shared)


def _text(value: Any) -> str:
    """As the field shows it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
