"""Datasets, their data (immutable versions) and the files of these."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from datasets import profile, results
from datasets.incoming import data_folder
from datasets.manifests import files_to_preprocess
from datasets.models.connections import Connection
from datasets.preprocessing.brief import in_brief
from dlmodeler_site.access import Kept, ScopedQuerySet, User
from dlmodeler_site.audit import STATE_OF_WORK, audited
from dlmodeler_site.compute.base import cpu_count
from dlmodeler_site.compute.run_folder import RunFolder, write_jsonl
from dlmodeler_site.fields import SentenceField
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status, Work
from projects.models import Project

THUMBNAIL_PX = 256
LARGE = ("profile", "steps", "source_keys")  # fields of a data with some hundred KB
LARGE_OF_DATA = tuple(f"data__{name}" for name in LARGE)  # for what is queried with its data


class DatasetQuerySet(ScopedQuerySet):
    pass


@audited()
class Dataset(models.Model):
    """What belongs together: uploaded data and the data made from it."""

    project = models.ForeignKey(Project, verbose_name=_("project"), on_delete=models.CASCADE, related_name="datasets")
    name = models.CharField(_("name"), max_length=100)
    slug = models.CharField(_("slug"), max_length=100, editable=False)
    description = models.TextField(_("description"), max_length=2000, blank=True)
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("creator"), null=True, on_delete=models.SET_NULL, editable=False
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)
    deleted_at = models.DateTimeField(_("deleted at"), null=True, editable=False)

    objects = Kept.from_queryset(DatasetQuerySet)()
    everything = DatasetQuerySet.as_manager()

    class Meta:
        verbose_name = _("dataset")
        verbose_name_plural = _("datasets")
        ordering: ClassVar = ["-created_at", "-pk"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["project", "slug"], name="dataset_slug_per_project")]

    def __str__(self) -> str:
        return self.name

    @property
    def files_key(self) -> str:
        return f"{self.project.files_key}/data/{self.slug}"


class DataQuerySet(ScopedQuerySet):
    to_project = "dataset__project"

    def for_lists(self) -> Self:
        """Without what is large and in no list; `steps_in_brief` are for these."""
        return self.defer(*LARGE)


def disk_bytes(data: str = "") -> models.expressions.Combinable:
    """`Data.disk_bytes` for queries; `data` is the look-up from the row to them, with `__` at its end."""
    return models.F(f"{data}size_bytes") + models.F(f"{data}thumbnail_bytes") - models.F(f"{data}shared_bytes")


@audited(exclude_fields=(*STATE_OF_WORK, *LARGE, "steps_in_brief", "selections", "source_options"))
class Data(Work):
    """A version of a dataset's files: raw (uploaded) or processed. Immutable once completed."""

    class Kind(models.TextChoices):
        RAW = "raw", _("Raw")
        PROCESSED = "processed", _("Processed")

    class Content(models.TextChoices):
        IMAGE = "image", _("Images")
        TABLE = "table", _("Tables")
        TEXT = "text", _("Text")
        MIXED = "mixed", _("Mixed")

    class OnError(models.TextChoices):
        FAIL = "fail", _("fail")
        SKIP = "skip", _("skip")

    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.UPLOADING, editable=False)
    dataset = models.ForeignKey(Dataset, verbose_name=_("dataset"), on_delete=models.CASCADE, related_name="data")
    name = models.CharField(_("name"), max_length=100)
    slug = models.CharField(_("slug"), max_length=100, editable=False)
    description = models.TextField(_("description"), max_length=2000, blank=True)
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("creator"), null=True, on_delete=models.SET_NULL, editable=False
    )
    kind = models.CharField(_("kind"), max_length=9, choices=Kind, default=Kind.RAW, editable=False)
    content = models.CharField(_("content"), max_length=5, choices=Content, blank=True, editable=False)
    parent = models.ForeignKey(
        "self",
        verbose_name=_("made from"),
        null=True,
        on_delete=models.RESTRICT,
        related_name="children",
        editable=False,
    )
    steps = models.JSONField(_("preprocessing steps"), default=list, editable=False)
    steps_in_brief = models.JSONField(
        _("preprocessing steps in brief"),
        default=list,
        editable=False,
        help_text=_("For lists: of very many names of files only the first."),
    )
    on_error = models.CharField(_("on error"), max_length=4, choices=OnError, default=OnError.FAIL, editable=False)
    file_count = models.PositiveIntegerField(
        _("number of files"), default=0, editable=False, help_text=_("Sound files only.")
    )
    rejected_count = models.PositiveIntegerField(_("number of rejected files"), default=0, editable=False)
    size_bytes = models.PositiveBigIntegerField(_("size in bytes"), default=0, editable=False)
    shared_bytes = models.PositiveBigIntegerField(
        _("shared size in bytes"),
        default=0,
        editable=False,
        help_text=_("Of files carried over from the data it was made from, where they lie on the disk once for both."),
    )
    thumbnail_bytes = models.PositiveBigIntegerField(
        _("size of the thumbnails in bytes"),
        default=0,
        editable=False,
        help_text=_("Without files that are their own thumbnails where these take no space of their own."),
    )
    manifest_sha256 = models.CharField(_("SHA-256 hash of the manifest"), max_length=64, blank=True, editable=False)
    profile = models.JSONField(
        _("profile"), default=dict, editable=False, help_text=_("What the files are like, in numbers.")
    )
    selections = models.JSONField(
        _("selections"), default=list, editable=False, help_text=_("What each selection of files did.")
    )
    connection = models.ForeignKey(
        Connection,
        verbose_name=_("connection"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="data",
        editable=False,
    )
    source_keys = models.JSONField(
        _("source keys"), default=list, editable=False, help_text=_("Objects and prefixes to import.")
    )
    source_options = models.JSONField(
        _("source options"), default=dict, editable=False, help_text=_("How the objects are imported.")
    )
    is_listed = models.BooleanField(
        _("listing complete"), default=False, editable=False, help_text=_("Every object to import has its row.")
    )
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)
    deleted_at = models.DateTimeField(_("deleted at"), null=True, editable=False)

    objects = Kept.from_queryset(DataQuerySet)()
    everything = DataQuerySet.as_manager()

    class Meta:
        verbose_name = _("data")
        verbose_name_plural = _("data")
        ordering: ClassVar = ["-created_at", "-pk"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["dataset", "slug"], name="data_slug_per_dataset")]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self._state.adding:  # they are never changed
            self.steps_in_brief = in_brief(self.steps)
        super().save(*args, **kwargs)

    @property
    def project(self) -> Project:
        return self.dataset.project

    @property
    def disk_bytes(self) -> int:
        """What the data takes on the disk beside what it was made from, and what its deletion frees.

        That is exact: a data is deleted for ever before the one whose files it shares. `disk_bytes()` is it in queries.
        """
        return self.size_bytes + self.thumbnail_bytes - self.shared_bytes

    @property
    def files_key(self) -> str:
        """The data's folder in the workspace."""
        return f"{self.dataset.files_key}/{self.slug}"

    @property
    def thumbnails_key(self) -> str:
        return f"thumbnails/{self.pk}"

    @property
    def archives_key(self) -> str:
        """Where archives wait to be unpacked: outside of the folder, like the log."""
        return f".work/{self._meta.label_lower}/{self.pk}/archives"

    @property
    def log_key(self) -> str:
        """Outside of the folder, which holds the users' files alone."""
        return f".work/{self._meta.label_lower}/{self.pk}/log.txt"

    @property
    def path(self) -> str:
        """The path that users see."""
        return f"/mnt/{self.files_key}"

    @property
    def algorithm(self) -> str:
        """`rawData` for what was uploaded, as the original called it."""
        return "rawData" if self.kind == self.Kind.RAW else "image_preprocessing"

    # -- Work -----------------------------------------------------------------------------------

    @property
    def is_to_inspect(self) -> bool:
        """Whether there are files that wait for the inspection, or objects that have no row yet."""
        if self.kind != self.Kind.RAW:
            return False
        return self.files.filter(state=File.State.PENDING).exists() or bool(self.source_keys and not self.is_listed)

    @property
    def module(self) -> str:
        return "datasets.inspection" if self.kind == self.Kind.RAW else "datasets.preprocessing"

    def prepare(self, run: RunFolder) -> dict[str, Any]:
        from datasets import imports

        spec: dict[str, Any] = {"files": "input/files.jsonl", "thumbnail_px": THUMBNAIL_PX, "workers": cpu_count()}
        if self.parent is not None:
            write_jsonl(run.input / "files.jsonl", files_to_preprocess(self.parent, self.steps))
            rejected = {"rejected_count": self.parent.rejected_count}
            return spec | {"steps": self.steps, "on_error": self.on_error, **rejected}
        objects: Iterator[dict[str, Any]] = iter(())
        if self.source_keys:
            imports.list_objects(self)
            objects, options = imports.objects_to_fetch(self)
            spec |= options
        write_jsonl(run.input / "files.jsonl", chain(self.staged_files(File.State.PENDING), objects))
        write_jsonl(run.input / "names.jsonl", self._names_beside())
        return spec | {
            "names": "input/names.jsonl",
            "incoming": str(data_folder(self.pk)),
            "archive_limits": {"entries": settings.DLM_ARCHIVE_MAX_ENTRIES},
        }

    def collect(self, events: list[dict[str, Any]]) -> None:
        if profiles := [event["profile"] for event in events if event["type"] == "profile"]:
            profile.collect(self, profiles[-1])
        for event in events:
            if event["type"] == "fetched":
                self.source_options["fetched"] = {"files": event["files"], "size_bytes": event["size_bytes"]}
                self.save(update_fields=["source_options"])

    def publish(self, run: RunFolder) -> None:
        results.publish(self, run)
        if self.file_count == 0:
            results.seal(self)
            results.tidy(self)
            raise results.nothing_sound(self)

    def record(self, run: RunFolder) -> None:
        results.seal(self)

    def settle(self) -> None:
        results.tidy(self)

    def staged_files(self, *states: str) -> Iterator[dict[str, Any]]:
        """The manifest of the files in these states, with local paths to read them from; without what is elsewhere."""
        elsewhere = models.Q(state=File.State.PENDING, source=File.Source.OBJECT)
        files = self.files.filter(state__in=states).exclude(elsewhere).order_by("pk").iterator(chunk_size=2000)
        while batch := list(islice(files, 2000)):
            paths = workspace().local_paths([(file.key_in(self), file.sha256) for file in batch])
            for file, path in zip(batch, paths, strict=True):
                row = {
                    "id": file.pk,
                    "name": file.name,
                    "path": str(path),
                    "label": file.label,
                    "sha256": file.sha256,
                }
                if file.is_packed:
                    row |= {"archive": True, "labelled_by_folder": file.labelled_by_folder}
                yield row

    def _names_beside(self) -> Iterator[dict[str, Any]]:
        """The names of rows that an inspection is not given, but for those that it will write again."""
        waiting = self.files.filter(state=File.State.PENDING)
        written = self.files.filter(source=File.Source.ARCHIVE, source_key__in=waiting.values("name"))
        rows = self.files.exclude(state=File.State.PENDING).exclude(pk__in=written.values("pk"))
        for name, state in rows.values_list("name", "state").iterator(chunk_size=2000):
            yield {"name": name, "has_file": state == File.State.OK}


class FileQuerySet(ScopedQuerySet):
    to_project = "data__dataset__project"

    def visible_to(self, user: User) -> Self:
        return super().visible_to(user).filter(data__deleted_at=None)

    def named(self, names: Iterable[str]) -> Self:
        """The files of a data that have these names, in no order; to be asked for before any other filter.

        Looked up in the index of names: with a state or an order beside them, SQLite reads all files of the data.
        """
        found = self.filter(name__in=list(names)).order_by()
        return File.objects.filter(pk__in=found.values("pk")).order_by()  # type: ignore[return-value]


class File(models.Model):
    """One file of a data, sound or rejected with the reason."""

    class State(models.TextChoices):
        PENDING = "pending", _("Pending")
        OK = "ok", _("OK")
        REJECTED = "rejected", _("Rejected")

    class Source(models.TextChoices):
        """Where a pending file's content is to come from; blank: it is in the workspace.

        A file that is not pending any more came from an archive or an object, whose name is its `source_key`.
        """

        ARCHIVE = "archive", _("Archive to unpack")
        OBJECT = "object", _("Object to fetch")

    data = models.ForeignKey(Data, verbose_name=_("data"), on_delete=models.CASCADE, related_name="files")
    name = models.CharField(_("name"), max_length=1024)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.PENDING)
    error = SentenceField(_("error"), blank=True)
    content = models.CharField(_("content"), max_length=5, choices=Data.Content, blank=True)
    size_bytes = models.PositiveBigIntegerField(_("size in bytes"), default=0)
    sha256 = models.CharField(_("SHA-256 hash"), max_length=64, blank=True)
    width = models.PositiveIntegerField(_("width in pixels"), null=True)
    height = models.PositiveIntegerField(_("height in pixels"), null=True)
    mode = models.CharField(_("colour mode"), max_length=10, blank=True)
    format = models.CharField(_("format"), max_length=10, blank=True)
    label = models.CharField(_("label"), max_length=255, blank=True)
    fingerprint = models.CharField(
        _("fingerprint"), max_length=40, blank=True, help_text=_("Alike for images that look alike.")
    )
    has_thumbnail = models.BooleanField(_("has a thumbnail"), default=False)
    source = models.CharField(_("source"), max_length=7, choices=Source, blank=True)
    source_key = models.CharField(_("source key"), max_length=1024, blank=True, help_text=_("The object to fetch."))
    etag = models.CharField(_("ETag"), max_length=64, blank=True, help_text=_("The version of the object to fetch."))
    labelled_by_folder = models.BooleanField(_("labelled by its folder"), default=False)

    objects = FileQuerySet.as_manager()

    class Meta:
        verbose_name = _("file")
        verbose_name_plural = _("files")
        ordering: ClassVar = ["pk"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["data", "name"], name="file_name_per_data")]
        indexes: ClassVar = [
            models.Index(fields=["data", "state", "id"]),
            # All that a list is filtered by, so that no row is read to be left out (datasets/file_lists.py).
            models.Index(
                fields=["data", "label", "state", "content", "size_bytes", "width", "height"], name="file_facts"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_packed(self) -> bool:
        """Whether it is an archive that waits to be unpacked."""
        return self.source == self.Source.ARCHIVE and self.state == self.State.PENDING

    def key_in(self, data: Data) -> str:
        """The file's key; `data` is its data, passed so that no query is needed."""
        return f"{data.archives_key if self.is_packed else data.files_key}/{self.name}"

    @property
    def key(self) -> str:
        return self.key_in(self.data)

    @property
    def thumbnail_key(self) -> str:
        return f"thumbnails/{self.data_id}/{self.pk}.jpg"
