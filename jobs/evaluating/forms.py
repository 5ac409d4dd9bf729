"""The form of evaluations."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from datasets.choices import IMAGES, TABLES, completed_data
from datasets.models import DataQuerySet
from dlmodeler_site.forms import SiteForm
from dlmodeler_site.parameters import as_whole_number
from jobs.algorithms.registry import manifest
from jobs.models import Training

_CONTENTS = {"image": IMAGES, "table": TABLES}


class EvaluationForm(SiteForm):
    """The labelled data that a model is to be measured on: what the algorithm reads, and labels beside it."""

    data: Any = forms.ModelChoiceField(
        queryset=None,
        widget=forms.HiddenInput,
        error_messages={
            "required": gettext_lazy("Choose the data to measure the model on."),
            "invalid_choice": gettext_lazy("This is no completed data of this project. Choose one from the browser."),
        },
    )
    labels: Any = forms.ModelChoiceField(
        queryset=None,
        widget=forms.HiddenInput,
        required=False,
        error_messages={
            "invalid_choice": gettext_lazy("This is no completed data of this project. Choose one from the browser.")
        },
    )

    def __init__(self, *args: Any, training: Training, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        inputs = manifest(training.job.algorithm).inputs
        self.contents: dict[str, str] = {}
        for name, given in zip(("data", "labels"), inputs, strict=False):
            choices = completed_data(training.project, content=_CONTENTS.get(given.content, ()))
            self.fields[name].queryset = choices  # type: ignore[attr-defined]
            self.fields[name].label = _(given.title)
            self.contents[name] = given.content
        if len(inputs) < 2:
            del self.fields["labels"]
        else:
            self.fields["labels"].help_text = _("Leave this empty where the files carry labels.")

    def pickers(self) -> list[dict[str, Any]]:
        """What the path browsers of the page need."""
        return [self._picker(name, content) for name, content in self.contents.items()]

    def _picker(self, name: str, content: str) -> dict[str, Any]:
        value = self[name].value() or ""
        choices: DataQuerySet = self.fields[name].queryset  # type: ignore[attr-defined]
        chosen = choices.filter(pk=as_whole_number(str(value))).first() if value else None
        return {
            "id": f"id_{name}",
            "bound": self[name],
            "content": content,
            "value": value,
            "path": chosen.path if chosen else "",
            "is_required": self.fields[name].required,
        }
