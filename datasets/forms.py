"""The forms of datasets and data."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy

from datasets.choices import IMAGES, completed_data
from datasets.models import Data
from datasets.step_forms import StepList
from dlmodeler_site.errors import UserError
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


_WRONG_STEP = gettext_lazy("A step needs a correction; it says what to do.")


class PreprocessForm(NamedForm):
    """Which data, which steps, and what the result is called. The steps have forms of their own."""

    on_error = forms.ChoiceField(
        label=gettext_lazy("Files that cannot be preprocessed"),
        choices=[
            (Data.OnError.FAIL, gettext_lazy("Fail, and list them")),
            (Data.OnError.SKIP, gettext_lazy("Skip them, and list them in the result")),
        ],
        initial=Data.OnError.FAIL,
        widget=forms.RadioSelect,
    )

    def __init__(self, data: QueryDict | None = None, *, project: Project, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        self.steps = StepList([]) if data is None else StepList.posted(data)
        self.choosable = completed_data(project, content=IMAGES).order_by("dataset__name", "dataset", "-created_at")
        choices = [("", gettext_lazy("Choose a data")), *_grouped(self.choosable)]
        self.fields["data_id"] = forms.TypedChoiceField(label=gettext_lazy("Data"), coerce=int, choices=choices)

    def start_with(self, steps: list[dict[str, Any]]) -> None:
        """Show these steps in a form that was not sent yet."""
        if not self.is_bound:
            self.steps = StepList.of(steps)

    def is_valid(self) -> bool:
        valid = super().is_valid()
        if self.is_bound and not self.steps.is_valid():
            self.add_error(None, _WRONG_STEP)
            return False
        return valid

    def source(self) -> Data | None:
        """The data chosen."""
        found: Data | None = self.choosable.filter(pk=self.cleaned_data.get("data_id") or 0).first()
        return found

    @contextmanager
    def errors_shown(self) -> Iterator[None]:
        """Show a `UserError` raised inside: on the steps where it tells of these, else as on every form."""
        try:
            yield
        except UserError as error:
            if self.steps.add_errors(error.details.get("steps", ())):
                self.add_error(None, _WRONG_STEP)
            else:
                self.add_error(error.field if error.field in self.fields else None, error.message)


def _grouped(data: Any) -> list[tuple[str, list[tuple[int, str]]]]:
    return [
        (dataset.name, [(each.pk, f"{each.name} ({each.file_count})") for each in group])
        for dataset, group in groupby(data, key=lambda each: each.dataset)
    ]
