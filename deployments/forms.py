"""The forms of deployments, tokens and prediction jobs."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from datasets.choices import IMAGES, TABLES, completed_data
from deployments.browse import training_of
from deployments.models import Deployment
from dlmodeler_site.forms import NamedForm, SiteForm
from jobs.instances import gpu_count
from jobs.models import Instance, InstanceKind, Training
from projects.models import Project


class ModelForm(SiteForm):
    """The training that the chosen model file is of."""

    model_file = forms.CharField(label=_("Model file"), max_length=600, widget=forms.HiddenInput)
    preprocess = forms.BooleanField(label=_("Connect preprocessing to the deployment"), required=False)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        self.training: Training | None = None

    def clean_model_file(self) -> str:
        path: str = self.cleaned_data["model_file"]
        self.training = training_of(self.project, path)
        if self.training is None:
            raise forms.ValidationError(_("There is no such model file in this project. Choose one from the browser."))
        return path

    def chosen_training(self) -> Training:
        """The training of the chosen model file, once the form is valid."""
        if self.training is None:
            raise ValueError("the form is not valid")
        return self.training


class DeploymentForm(ModelForm, NamedForm):
    """Deploy the chosen model."""

    instance = forms.ChoiceField(label=_("Instance"), widget=forms.RadioSelect)

    def __init__(self, *args: Any, project: Project, training: Training | None, **kwargs: Any) -> None:
        if training is not None and training.model_files:
            initial = {"name": f"deploy-{training.name}"[:100], "model_file": training.model_files[-1]}
            kwargs.setdefault("initial", initial)
        super().__init__(*args, project=project, **kwargs)
        gpus = gpu_count()
        self.fields["instance"].choices = [  # type: ignore[attr-defined]
            (f"{InstanceKind.CPU}:1", _("CPU")),
            *((f"{InstanceKind.GPU}:{count}", _("GPU × %(count)s") % {"count": count}) for count in range(1, gpus + 1)),
        ]
        self.fields["instance"].initial = f"{InstanceKind.CPU}:1"
        if not gpus:
            self.fields["instance"].help_text = _("This site has no GPU.")

    def instance_chosen(self) -> Instance:
        kind, _colon, count = self.cleaned_data["instance"].partition(":")
        return Instance(kind, int(count))


class TokenForm(SiteForm):
    name = forms.CharField(label=_("Name"), max_length=100, help_text=_("Who uses it, for example: nightly report"))
    expires_at = forms.DateTimeField(
        label=_("Expires"), required=False, widget=forms.DateTimeInput({"type": "datetime-local"}, "%Y-%m-%dT%H:%M")
    )


class PredictionJobForm(NamedForm):
    """Predict all images, or all rows of all csv files, of a data."""

    data: Any = forms.ModelChoiceField(
        label=_("Test data"),
        queryset=None,
        widget=forms.HiddenInput,
        error_messages={
            "required": _("Choose the data to predict."),
            "invalid_choice": _("This data cannot be predicted here. Choose a completed one from the browser."),
        },
    )

    labels: Any = forms.ModelChoiceField(
        label=_("Labels"),
        queryset=None,
        required=False,
        widget=forms.HiddenInput,
        error_messages={
            "invalid_choice": _("This is no completed data of this project. Choose one from the browser."),
        },
    )

    def __init__(self, *args: Any, deployment: Deployment, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.data_choices = completed_data(deployment.project, content=TABLES if deployment.takes_tables else IMAGES)
        self.fields["data"].queryset = self.data_choices  # type: ignore[attr-defined]
        self.label_choices = completed_data(deployment.project, content=TABLES)
        if deployment.takes_tables:
            del self.fields["labels"]
        else:
            self.fields["labels"].queryset = self.label_choices  # type: ignore[attr-defined]
