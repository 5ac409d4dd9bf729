"""What pages call algorithms, their inputs and instances."""

from django.utils.translation import gettext as _

from datasets.models import Data
from jobs.algorithms.registry import UnknownAlgorithmError, manifest
from jobs.models import InstanceKind, Job, Training


def algorithm_title(name: str) -> str:
    """The algorithm's title; its id where it is not known any more."""
    try:
        return _(manifest(name).title)
    except UnknownAlgorithmError:
        return name


def titled_inputs(job: Job) -> list[tuple[str, Data]]:
    """The data of the job, each under the title of the input that it is read for."""
    try:
        titles = {each.name: _(each.title) for each in manifest(job.algorithm).inputs}
    except UnknownAlgorithmError:
        titles = {}
    return [(titles.get(name, name), data) for name, data in job.data_by_input().items()]


def instance_text(row: Job | Training) -> str:
    """ "CPU", "GPU × 2"."""
    kind = row.get_instance_kind_display()
    return kind if row.instance_kind == InstanceKind.CPU else f"{kind} × {row.instance_count}"
