"""Making, changing and deleting jobs: what is to be learned, from which data."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from datasets.models import Data, File
from dlmodeler_site.errors import Conflict, UserError
from dlmodeler_site.registry import dependants, refuse_if_in_use
from dlmodeler_site.slugs import unique_slug
from dlmodeler_site.storage import workspace
from dlmodeler_site.trash import lock_kept
from dlmodeler_site.work.models import ACTIVE, Status
from jobs import instances
from jobs.algorithms.base import Input, Manifest
from jobs.algorithms.registry import UnknownAlgorithmError, manifest, manifests
from jobs.models import Instance, Job, JobInput
from jobs.readers.registry import reader
from projects.models import Project

CLASS_NAME_LENGTH = 200


@dataclass(frozen=True)
class JobDraft:
    """What a job shall be. `inputs`: name of the algorithm's input -> id of a data of the project."""

    name: str
    description: str = ""
    kind: str = Job.Kind.BASIC
    algorithm: str = ""
    inputs: Mapping[str, int] = field(default_factory=dict)
    class_names: Mapping[str, str] = field(default_factory=dict)
    instance: Instance = field(default_factory=Instance)


def create_job(project: Project, creator: User, draft: JobDraft) -> Job:
    """Make a job. Its data may still fail the check; a training on it will not start then."""
    name = _name(draft.name)
    chosen: dict[str, Data] = {}
    if draft.kind == Job.Kind.BASIC:
        chosen = choose_inputs(project, algorithm(draft.algorithm), draft.inputs)
    elif draft.kind == Job.Kind.CUSTOM:
        _refuse_for_custom(draft)
        instances.require(draft.instance)
    else:
        raise UserError(
            _("A job's kind is one of %(kinds)s; received “%(received)s”.")
            % {"kinds": ", ".join(Job.Kind.values), "received": draft.kind},
            reason="invalid",
            field="kind",
        )
    with transaction.atomic():
        lock_kept(project)
        job = Job.objects.create(
            project=project,
            name=name,
            slug=unique_slug(name, project.jobs.all()),
            description=draft.description.strip(),
            creator=creator,
            kind=draft.kind,
            algorithm=draft.algorithm if draft.kind == Job.Kind.BASIC else "",
            class_names=clean_class_names(draft.class_names),
            instance_kind=draft.instance.kind,
            instance_count=draft.instance.count,
        )
        _set_inputs(job, chosen)
    return job


def update_job(
    job: Job,
    *,
    name: str | None = None,
    description: str | None = None,
    inputs: Mapping[str, int] | None = None,
    class_names: Mapping[str, str] | None = None,
) -> None:
    """Change what is given. A new name never moves files; other data wait until no training runs."""
    chosen = None
    if inputs is not None and job.kind == Job.Kind.BASIC:
        chosen = choose_inputs(job.project, algorithm(job.algorithm), inputs)
        if chosen == job.data_by_input():
            chosen = None
    if chosen is not None:
        refuse_while_training(job)
    if name is not None:
        job.name = _name(name)
    if description is not None:
        job.description = description.strip()
    if class_names is not None:
        job.class_names = clean_class_names(class_names)
    with transaction.atomic():
        job.save()
        if chosen is not None:
            _set_inputs(job, chosen)


def refuse_while_training(job: Job) -> None:
    """Raises Conflict while trainings read the job's data, or wait to."""
    if active := list(job.trainings.filter(status__in=ACTIVE).values_list("name", flat=True)):
        raise Conflict(
            _("The data cannot be changed while trainings are queued or running: %(names)s. Stop these first.")
            % {"names": ", ".join(f"“{each}”" for each in active)},
            reason="in_use",
            field="inputs",
        )


def replace_input(job: Job, name: str, data: Data, *, drops: Collection[str] = ()) -> None:
    """Have the job read `data`, which may still be in the making, for this input, and nothing for those in `drops`."""
    with transaction.atomic():
        chosen = {key: value for key, value in job.data_by_input().items() if key not in drops}
        _set_inputs(job, chosen | {name: data})
        job.save(update_fields=["changed_at"])


def delete_job(job: Job) -> None:
    """Delete the job with its trainings and models. Raises Conflict while something runs or is deployed."""
    used_by = [*dependants(job)]
    for training in job.trainings.select_related("job__project"):
        used_by += dependants(training)
    refuse_if_in_use(job.name, used_by)
    key = job.files_key
    job.delete()
    workspace().delete_tree(key)


def algorithm(name: str) -> Manifest:
    """The manifest of a built-in algorithm; UserError when there is none of that name."""
    try:
        return manifest(name)
    except UnknownAlgorithmError as error:
        raise UserError(
            _("There is no algorithm “%(name)s”; known are: %(known)s.")
            % {"name": name, "known": ", ".join(each.name for each in manifests())},
            reason="unknown_algorithm",
            field="algorithm",
        ) from error


def choose_inputs(project: Project, manifest: Manifest, given: Mapping[str, int]) -> dict[str, Data]:
    """The data for each input of the algorithm, after checking that it can be read for it."""
    known = {each.name: each for each in manifest.inputs}
    if unknown := sorted(set(given) - set(known)):
        raise UserError(
            _("%(algorithm)s reads %(known)s; received %(unknown)s.")
            % {"algorithm": manifest.name, "known": ", ".join(known), "unknown": ", ".join(unknown)},
            reason="unknown_input",
            field="inputs",
        )
    chosen = {name: _data_for(project, known[name], pk) for name, pk in given.items()}
    for name, wanted in known.items():
        if name in chosen or not wanted.required or reader(manifest).may_lack(name, chosen):
            continue
        raise UserError(
            _("%(algorithm)s needs data for “%(input)s”: %(help)s")
            % {"algorithm": manifest.name, "input": name, "help": _(wanted.help) if wanted.help else wanted.content},
            reason="input_missing",
            field=f"inputs.{name}",
        )
    return chosen


def clean_class_names(given: Mapping[str, str]) -> dict[str, str]:
    """Label -> display name, stripped; empty names are left out."""
    cleaned = {}
    for label, name in given.items():
        label, name = str(label).strip(), str(name).strip()
        if not label or len(name) > CLASS_NAME_LENGTH:
            raise UserError(
                _("A class name belongs to a label and has at most %(most)s characters; received “%(received)s”.")
                % {"most": CLASS_NAME_LENGTH, "received": f"{label} = {name[:50]}"},
                reason="invalid_class_name",
                field="class_names",
            )
        if name:
            cleaned[label] = name
    return cleaned


def _data_for(project: Project, wanted: Input, pk: int) -> Data:
    data: Data | None = Data.objects.filter(dataset__project=project, pk=pk).select_related("dataset__project").first()
    if data is None:
        raise UserError(
            _("There is no data with the id %(id)s in the project “%(project)s”.")
            % {"id": pk, "project": project.name},
            reason="unknown_data",
            field=f"inputs.{wanted.name}",
        )
    if data.status != Status.COMPLETED:
        raise UserError(
            _("“%(data)s” is %(status)s; the data of a job must be completed. Wait until it is, or choose another.")
            % {"data": data.name, "status": data.get_status_display().lower()},
            reason="data_not_completed",
            field=f"inputs.{wanted.name}",
        )
    if not data.files.filter(state=File.State.OK, content=wanted.content).exists():
        raise UserError(
            _("“%(data)s” holds no %(wanted)s for “%(input)s”: it holds %(received)s. Choose another data.")
            % {
                "data": data.name,
                "wanted": Data.Content(wanted.content).label.lower(),
                "input": wanted.name,
                "received": data.get_content_display().lower() or _("no sound file"),
            },
            reason="unfitting_data",
            field=f"inputs.{wanted.name}",
        )
    return data


def _refuse_for_custom(draft: JobDraft) -> None:
    for name, value in (("algorithm", draft.algorithm), ("inputs", draft.inputs)):
        if value:
            raise UserError(
                _("A custom job brings its own code and takes no %(name)s. Leave it out, or make a basic job.")
                % {"name": name},
                reason="invalid",
                field=name,
            )


def _set_inputs(job: Job, chosen: Mapping[str, Data]) -> None:
    for data in chosen.values():
        lock_kept(data)
    job.inputs.all().delete()
    JobInput.objects.bulk_create([JobInput(job=job, name=name, data=data) for name, data in chosen.items()])


def _name(given: str) -> str:
    name = given.strip()
    if not name or len(name) > 100:
        raise UserError(
            _("A job needs a name of 1 to 100 characters; received %(count)s characters.") % {"count": len(name)},
            reason="invalid",
            field="name",
        )
    return name
