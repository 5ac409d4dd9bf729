"""The lists of deployments, prediction jobs and predictions."""

import django_tables2 as tables
from django.utils.translation import gettext_lazy as _

from deployments.models import Deployment, Prediction, PredictionJob

NAME = {"td": {"class": "dlm-cell-main"}}
TEXT = {"td": {"class": "dlm-cell-text"}}
ACTIONS = {"td": {"class": "dlm-cell-actions"}}
NUMBER = {"td": {"class": "text-nowrap"}}


def cell(name: str) -> str:
    return f"deployments/cells/{name}.html"


class DeploymentTable(tables.Table):
    name = tables.TemplateColumn(template_name=cell("deployment"), attrs=NAME, verbose_name=_("Name"))
    status = tables.TemplateColumn(template_name=cell("status"), verbose_name=_("Status"))
    address = tables.TemplateColumn(template_name=cell("address"), orderable=False, verbose_name=_("Address"))
    training = tables.TemplateColumn(
        template_name=cell("model"), order_by="training__name", attrs=TEXT, verbose_name=_("Model")
    )
    accuracy = tables.TemplateColumn(
        template_name=cell("accuracy"), order_by="training__accuracy", verbose_name=_("Accuracy / loss"), attrs=NUMBER
    )
    creator = tables.Column(accessor="creator__username", verbose_name=_("Creator"))
    created_at = tables.TemplateColumn(template_name=cell("created"), verbose_name=_("Created"))
    actions = tables.TemplateColumn(template_name=cell("actions"), orderable=False, verbose_name="", attrs=ACTIONS)

    class Meta:
        model = Deployment
        fields = ("name", "status", "address", "training", "accuracy", "creator", "created_at", "actions")
        order_by = "-created_at"


class PredictionJobTable(tables.Table):
    name = tables.TemplateColumn(template_name=cell("prediction_job"), attrs=NAME, verbose_name=_("Name"))
    status = tables.TemplateColumn(template_name=cell("prediction_job_status"), verbose_name=_("Status"))
    data = tables.Column(accessor="data__name", attrs=TEXT, verbose_name=_("Test data"))
    run_time = tables.TemplateColumn(template_name=cell("run_time"), orderable=False, verbose_name=_("Run time"))
    creator = tables.Column(accessor="creator__username", verbose_name=_("Creator"))
    created_at = tables.TemplateColumn(template_name=cell("created"), verbose_name=_("Created"))
    actions = tables.TemplateColumn(
        template_name=cell("prediction_job_actions"), orderable=False, verbose_name="", attrs=ACTIONS
    )

    class Meta:
        model = PredictionJob
        fields = ("name", "status", "data", "run_time", "creator", "created_at", "actions")
        order_by = "-created_at"


class PredictionTable(tables.Table):
    thumbnail = tables.TemplateColumn(template_name=cell("thumbnail"), orderable=False, verbose_name=_("Image"))
    file = tables.Column(accessor="file__name", order_by="file__name", attrs=NAME, verbose_name=_("File"))
    label = tables.TemplateColumn(template_name=cell("label"), verbose_name=_("Class"))
    class_name = tables.Column(verbose_name=_("Class name"), default="–", empty_values=(None, ""))
    probability = tables.TemplateColumn(template_name=cell("probability"), verbose_name=_("Probability"))

    class Meta:
        model = Prediction
        fields = ("thumbnail", "file", "label", "class_name", "probability")
