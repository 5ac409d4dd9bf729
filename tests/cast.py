"""The people and things of the tests: Alice owns, Erin edits, Bob views, Charlie is a stranger."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.test import override_settings
from PIL import Image
from rest_framework.test import APIClient

from datasets.models import Data, Dataset, File
from dlmodeler_site.access import Role
from dlmodeler_site.slugs import unique_slug
from dlmodeler_site.storage import workspace
from dlmodeler_site.work import gpus, runner
from dlmodeler_site.work.models import Status, Work
from projects.members import Member, create_project
from projects.models import Project

PASSWORD = "a-long-enough-password"


@dataclass(frozen=True)
class Cast:
    """A project and everybody's relation to it."""

    project: Project
    alice: User  # owner
    erin: User  # editor
    bob: User  # viewer
    charlie: User  # stranger


def make_user(name: str, **values: object) -> User:
    user = get_user_model().objects.create(username=name, email=f"{name}@example.org", **values)
    user.set_password(PASSWORD)
    user.save()
    return user


def make_cast(project_name: str = "Landscapes") -> Cast:
    alice, erin, bob, charlie = (make_user(name) for name in ("alice", "erin", "bob", "charlie"))
    project = create_project(
        alice,
        name=project_name,
        description="Photos of landscapes",
        members=[Member("bob", Role.VIEWER), Member("erin", Role.EDITOR)],
    )
    return Cast(project, alice, erin, bob, charlie)


def api(user: User | None) -> APIClient:
    """A client of the REST API that acts as `user`."""
    client = APIClient()
    if user is not None:
        client.force_authenticate(user)
    return client


def png(colour: tuple[int, int, int] = (200, 30, 30), *, size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def make_dataset(project: Project, name: str = "photos") -> Dataset:
    return Dataset.objects.create(project=project, name=name, slug=unique_slug(name, project.datasets.all()))


def make_data(
    dataset: Dataset, files: Iterable[tuple[str, bytes]], *, name: str = "photos", labels: dict[str, str] | None = None
) -> Data:
    """A completed raw data with these files, inspected by the real inspection."""
    data = Data.objects.create(dataset=dataset, name=name, slug=unique_slug(name, dataset.data.all()))
    for file_name, content in files:
        write_file(data, file_name, content)
        File.objects.create(data=data, name=file_name, label=(labels or {}).get(file_name, ""))
    assert data.enqueue(of=(Status.UPLOADING,))
    run_work(data)
    return data


def write_file(data: Data, name: str, content: bytes) -> None:
    from django.core.files.base import ContentFile

    key = f"{data.files_key}/{name}"
    workspace().delete(key)  # rows roll back between tests, files do not
    workspace().save(key, ContentFile(content))  # type: ignore[attr-defined]


W = TypeVar("W", bound=Work)


def run_work(work: W, *, backend: str = "blocking") -> W:
    """Take queued work to its end in this process, its module in a process of its own as in production."""
    lease = gpus.claim(work)
    assert lease is not None, f"{work} is {work.status}, not queued"
    with override_settings(DLM_WORK_BACKEND=backend):
        runner.run(type(work), work.pk, lease)
    work.refresh_from_db()
    return work
