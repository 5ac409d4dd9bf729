"""The record of trainings: what each was told, came to, was made from and ran on, as rows that can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Avg, Count, FloatField, Prefetch, Sum, prefetch_related_objects
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from datasets.models import LARGE_OF_DATA
from jobs.algorithms.base import Manifest
from jobs.algorithms.registry import UnknownAlgorithmError, manifest
from jobs.durations import duration
from jobs.models import EpochMetrics, Job, JobInput, Training
from jobs.titles import instance_text
from jobs.watching.curves import metric_title, phase_title

MOST_CLASSES = 20  # that a row spells out
SHORT_HASH = 12  # characters that are shown of the hash of the code
PACKAGES = {
    "python": "Python",
    "tensorflow": "TensorFlow",
    "keras": "Keras",
    "numpy": "NumPy",
    "openvino": "OpenVINO",
    "pillow": "Pillow",
}


@dataclass(frozen=True)
class Row:
    """One fact of a training.

    Attributes:
        key: the same for the same fact of every training; unique within its section.
        label: what people call it, in the language of the request.
        value: as JSON; None where the training has no such fact (yet).
        shown: the value for people, in the language of the request; "" for None.
        compared: whether another value in another training is a difference. False for what differs by nature: names,
            ids, moments, and what was measured of the run itself (seconds, memory, speed).
    """

    key: str
    label: str
    value: Any
    shown: str
    compared: bool = True


@dataclass(frozen=True)
class Section:
    """The rows of one topic: hyperparameters, results, data, run, code, hardware or seed."""

    name: str
    title: str
    rows: tuple[Row, ...]


def sections(training: Training) -> tuple[Section, ...]:
    """The record of one training: always all sections, in the same order, some of them without rows before its end."""
    return sections_of([training])[0]


def sections_of(trainings: Sequence[Training]) -> list[tuple[Section, ...]]:
    """The records of trainings, in their order; the number of queries does not grow with them."""
    inputs = JobInput.objects.select_related("data").defer(*LARGE_OF_DATA).order_by("pk")
    prefetch_related_objects(trainings, Prefetch("job__inputs", inputs), "again_of")
    stages = _stages(trainings)
    return [tuple(_sections(training, stages.get(training.pk, []))) for training in trainings]


@dataclass(frozen=True)
class _Stage:
    """The epochs of one stage together."""

    name: str
    epochs: int
    seconds: float
    images_per_second: float | None


def _stages(trainings: Iterable[Training]) -> dict[int, list[_Stage]]:
    """Key of the training -> its stages in their order."""
    rows = (
        EpochMetrics.objects.filter(training__in=trainings)
        .order_by()
        .values("training_id", stage=KT("metrics__stage"))
        .annotate(
            epochs=Count("pk"),
            spent=Sum("seconds"),
            speed=Avg(Cast(KT("metrics__images_per_second"), FloatField())),
        )
        .order_by("training_id", "-stage")  # head comes before fine_tuning
    )
    found: dict[int, list[_Stage]] = {}
    for row in rows:
        stage = _Stage(row["stage"] or "training", row["epochs"], row["spent"], row["speed"])
        found.setdefault(row["training_id"], []).append(stage)
    return found


def _sections(training: Training, stages: list[_Stage]) -> Iterator[Section]:
    yield Section(
        "hyperparameters", _("Hyperparameters"), tuple(hyperparameter_rows(training.job, training.hyperparameters))
    )
    yield Section("results", _("Results"), tuple(_results(training)))
    yield Section("data", _("Data"), tuple(_data(training)))
    yield Section("run", pgettext("of a training", "Run"), tuple(_run(training, stages)))
    yield Section("code", _("Code"), tuple(_code(training)))
    yield Section("hardware", _("Hardware"), tuple(_hardware(training)))
    yield Section("seed", _("Seed"), (Row("seed", _("Seed"), training.seed, str(training.seed)),))


def hyperparameter_rows(job: Job, values: Mapping[str, Any]) -> Iterator[Row]:
    """In the order of the manifest; what the manifest does not know (any more) comes last, under its name."""
    algorithm = _algorithm(job)
    known = {each.name: each for each in algorithm.hyperparameters} if algorithm else {}
    for name in [*(name for name in known if name in values), *(name for name in values if name not in known)]:
        parameter = known.get(name)
        label = _(parameter.title) if parameter and parameter.title else name
        unit = f" {_(parameter.unit)}" if parameter and parameter.unit else ""
        yield Row(name, label, values[name], _text(values[name]) + unit)


def _results(training: Training) -> Iterator[Row]:
    yield Row("status", _("Status"), str(training.status), training.get_status_display())
    found = training.result_metrics or {"accuracy": training.accuracy, "loss": training.loss}
    for name, value in found.items():
        if value is not None:
            yield Row(name, metric_title(name), value, _text(value))


def _data(training: Training) -> Iterator[Row]:
    record = training.record_of_run
    algorithm = _algorithm(training.job)
    titles = {each.name: _(each.title) for each in algorithm.inputs} if algorithm else {}
    for name, read in _inputs(training).items():
        title = titles.get(name, name)
        if read.get("name"):
            yield Row(f"{name}.name", title, read["name"], read["name"], compared=False)
            yield Row(f"{name}.id", _("%(input)s: id") % {"input": title}, read["id"], str(read["id"]), compared=False)
        if read.get("sha256"):
            label = _("%(input)s: SHA-256 of the manifest") % {"input": title}
            yield Row(f"{name}.sha256", label, read["sha256"], read["sha256"])
        if read.get("files") is not None:
            yield Row(f"{name}.files", _("%(input)s: files") % {"input": title}, read["files"], str(read["files"]))
    yield from _samples(record)
    yield from _classes(training)


def _inputs(training: Training) -> dict[str, dict[str, Any]]:
    """Name of the input -> id, name, files and hash of the data it was made from, or will be before it has begun."""
    record = training.record_of_run
    if hashes := record.get("data"):
        told = record.get("inputs", {})
        return {name: {**told.get(name, {}), "sha256": sha256} for name, sha256 in hashes.items()}
    return {
        each.name: {
            "id": each.data.pk,
            "name": each.data.name,
            "files": each.data.file_count,
            "sha256": each.data.manifest_sha256,
        }
        for each in training.job.inputs.all()
    }


def _algorithm(job: Job) -> Manifest | None:
    """None where the site does not know it any more."""
    try:
        return manifest(job.algorithm)
    except UnknownAlgorithmError:
        return None


def _samples(record: Mapping[str, Any]) -> Iterator[Row]:
    titles = {
        "trained_on": _("Samples trained on"),
        "held_out": _("Samples held out"),
        "table": _("Rows of the table"),
        "without_target": _("Rows without a target"),
        "target_is_no_number": _("Rows whose target is no number"),
    }
    for name, count in (record.get("samples") or record.get("rows") or {}).items():
        yield Row(f"samples.{name}", titles.get(name, name), count, str(count))
    if alike := record.get("kept_together"):
        shown = _("%(images)s in %(groups)s groups") % alike
        yield Row("samples.kept_together", _("Images that look alike, kept together"), alike, shown)
    if alike := record.get("kept_together"):
        shown = _("%(images)s images in %(groups)s groups") % alike
        yield Row("kept_together", _("Alike, and kept on one side of the split"), alike, shown)
    if columns := record.get("columns"):
        value = [[each["name"], each["type"]] for each in columns]
        yield Row("columns", _("Columns"), value, _several(each["name"] for each in columns))


def _classes(training: Training) -> Iterator[Row]:
    labels = training.labels
    if not labels:
        return
    names = [str(each["class_name"] or each["label"]) for each in labels]
    yield Row("classes", _("Classes"), [[each["label"], each["class_name"]] for each in labels], _several(names))
    if counts := training.record_of_run.get("class_counts"):
        shown = _several(f"{name}: {count}" for name, count in zip(names, counts, strict=False))
        yield Row("class_counts", _("Samples of each class"), counts, shown)


def _run(training: Training, stages: list[_Stage]) -> Iterator[Row]:
    record = training.record_of_run
    instance = {"kind": training.instance_kind, "count": training.instance_count}
    yield Row("instance", _("Instance"), instance, instance_text(training))
    for name, title in (("gpus", _("GPUs used")), ("threads", _("Threads")), ("precision", _("Precision"))):
        if record.get(name) is not None:
            yield Row(name, title, record[name], _text(record[name]))
    if training.attempt:
        yield Row("attempts", _("Attempts"), training.attempt, str(training.attempt))
    if stages:
        done = sum(stage.epochs for stage in stages)
        yield Row("epochs", _("Epochs done"), done, str(done))
    if record.get("kept_epoch"):
        yield Row("kept_epoch", _("Epoch whose weights were kept"), record["kept_epoch"], str(record["kept_epoch"]))
    yield from _measured(training, stages)
    if original := training.again_of:
        yield Row("again_of", _("Runs again"), original.pk, original.name, compared=False)


def _measured(training: Training, stages: list[_Stage]) -> Iterator[Row]:
    """What was measured of the run itself: never the same twice."""
    for name, title in (
        ("created_at", _("Created")),
        ("started_at", _("Started")),
        ("finished_at", _("Finished")),
    ):
        if moment := getattr(training, name):
            shown = f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}"
            yield Row(name, title, moment.isoformat(timespec="seconds"), shown, compared=False)
    if training.is_final and training.run_time_s is not None:
        yield _seconds("run_time", _("Run time, waiting included"), training.run_time_s)
    done = attempts(training)
    phases = _sum_of_phases(done)
    if phases:
        yield _seconds("computing", _("Seconds of computing"), sum(phases.values()))
    for name, seconds in phases.items():
        yield _seconds(f"seconds.{name}", _("Phase “%(phase)s”") % {"phase": phase_title(name)}, seconds)
    for stage in stages:
        title = _("Epochs of “%(stage)s”") % {"stage": phase_title(stage.name)}
        yield _seconds(f"epochs.{stage.name}", title, stage.seconds)
        if stage.images_per_second is not None:
            title = _("Images per second of “%(stage)s”") % {"stage": phase_title(stage.name)}
            speed = round(stage.images_per_second, 1)
            yield Row(f"images_per_second.{stage.name}", title, speed, _text(speed), compared=False)
    if memory := peak_memory_bytes(training):
        yield Row("memory_bytes", _("Peak memory"), memory, filesizeformat(memory), compared=False)


def _seconds(key: str, label: str, seconds: float) -> Row:
    return Row(key, label, round(seconds, 3), duration(seconds), compared=False)


def _sum_of_phases(done: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for attempt in done:
        for name, seconds in attempt.get("seconds", {}).items():
            total[name] = total.get(name, 0.0) + seconds
    return total


def attempts(training: Training) -> list[dict[str, Any]]:
    """What is known of each attempt, in their order: code, packages, hardware, seconds of its phases, memory_bytes."""
    told: dict[str, dict[str, Any]] = training.record_of_run.get("attempts", {})
    return [told[number] for number in sorted(told, key=int)]


def peak_memory_bytes(training: Training) -> int:
    """The most memory that the process of an attempt had; 0 before the first has ended."""
    return max((each.get("memory_bytes", 0) for each in attempts(training)), default=0)


def circumstances(training: Training) -> dict[str, Any]:
    """Code, packages and hardware of the newest attempt; empty before the first."""
    return next((each for each in reversed(attempts(training)) if "code" in each), {})


def code_rows(told: Mapping[str, Any]) -> Iterator[Row]:
    """The version of the code and the packages of some `circumstances`."""
    if code := told.get("code"):
        yield Row("version", _("Version"), code["version"], code["version"])
        yield Row("sha256", _("SHA-256 of what computes"), code["sha256"], code["sha256"][:SHORT_HASH])
    for name, version in told.get("packages", {}).items():
        yield Row(name, PACKAGES.get(name, name), version, version)


def hardware_rows(told: Mapping[str, Any]) -> Iterator[Row]:
    """The hardware of some `circumstances`."""
    titles = {
        "cpu": _("Processor"),
        "cores": _("Cores"),
        "memory_gib": _("Memory"),
        "os": _("Operating system"),
        "kernel": _("Kernel"),
    }
    for name, value in told.get("hardware", {}).items():
        shown = f"{value} GiB" if name == "memory_gib" else _text(value)
        yield Row(name, titles.get(name, name), value, shown)


def _code(training: Training) -> Iterator[Row]:
    now = circumstances(training)
    yield from code_rows(now)
    known = [each for each in attempts(training) if "code" in each]
    if len(known) > 1:
        is_same = all(each["code"] == now["code"] and each["packages"] == now["packages"] for each in known)
        yield Row("same_in_all_attempts", _("The same in all attempts"), is_same, _text(is_same))


def _hardware(training: Training) -> Iterator[Row]:
    yield from hardware_rows(circumstances(training))
    if models := training.record_of_run.get("gpu_models"):
        yield Row("gpus", _("GPUs"), models, _text(models))


def _text(value: Any) -> str:
    """A value of JSON for people."""
    match value:
        case None:
            return ""
        case bool():
            return _("yes") if value else _("no")
        case float():
            return f"{value:.6g}"
        case list():
            return ", ".join(map(_text, value))
        case _:
            return str(value)


def _several(texts: Iterable[str]) -> str:
    """The first of many."""
    all_texts = list(texts)
    shown = ", ".join(all_texts[:MOST_CLASSES])
    more = len(all_texts) - MOST_CLASSES
    return shown if more <= 0 else _("%(shown)s and %(count)s more") % {"shown": shown, "count": more}
