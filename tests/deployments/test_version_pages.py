"""The versions on a deployment's page: seen by all, changed by editors, told before."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from deployments.models import Deployment, DeploymentVersion
from dlmodeler_site.sentences import Sentence
from jobs.models import Training
from tests.cast import Cast, make_cast
from tests.deployments.bundles import LABELS, describe
from tests.deployments.parts import deploy, deployment_row, make_table_training, make_training
from tests.deployments.table_bundles import DESCRIPTION as TABLE

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def deployment(cast: Cast, tmp_path: Path) -> Deployment:
    return deploy(cast, tmp_path)


@pytest.fixture
def other(cast: Cast, tmp_path: Path) -> Training:
    return make_training(cast, tmp_path, name="other", labels=[*LABELS[:2], {"label": 31, "class_name": "blue"}])


def client(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def get(user: Any, name: str, *args: int, query: str = "") -> Any:
    return client(user).get(reverse(f"deployments:{name}", args=args) + query)


def post(user: Any, name: str, *args: int, **fields: Any) -> Any:
    return client(user).post(reverse(f"deployments:{name}", args=args), fields)


def test_a_model_is_changed_on_the_page_after_its_differences_are_told(
    cast: Cast, deployment: Deployment, other: Training
) -> None:
    form = get(cast.erin, "change", deployment.pk).content.decode()
    assert "Choose a saved_model.pb" in form
    told = get(cast.erin, "differences-fragment", deployment.pk, query=f"?model_file={other.model_files[0]}")
    assert "Classes that it answers no more: 30." in told.content.decode()
    assert "Classes that are new: 31 (blue)." in told.content.decode()
    answer = post(cast.erin, "change", deployment.pk, model_file=other.model_files[0])
    assert answer["Location"] == reverse("deployments:detail", args=[deployment.pk])
    page = get(cast.bob, "detail", deployment.pk).content.decode()
    assert "Changing to version 2" in page
    assert reverse("deployments:versions-fragment", args=[deployment.pk]) in page
    assert "HX-Refresh" not in get(cast.bob, "versions-fragment", deployment.pk)
    Deployment.objects.update(version=DeploymentVersion.objects.get(number=2), next_version=None)
    assert get(cast.bob, "versions-fragment", deployment.pk)["HX-Refresh"] == "true"


def test_what_does_not_fit_is_told_on_the_form(cast: Cast, deployment: Deployment, tmp_path: Path) -> None:
    table = make_table_training(cast, describe(tmp_path / "table", **TABLE))
    told = get(cast.erin, "differences-fragment", deployment.pk, query=f"?model_file={table.model_files[0]}")
    assert "takes rows of tables" in told.content.decode()
    answer = post(cast.erin, "change", deployment.pk, model_file=table.model_files[0])
    assert (answer.status_code, answer.content.decode().count("takes rows of tables")) == (200, 2)
    assert "There is no such model file" in post(cast.erin, "change", deployment.pk, model_file="x").content.decode()
    assert DeploymentVersion.objects.count() == 1


def test_one_click_goes_back_calls_off_or_forgets(cast: Cast, deployment: Deployment, other: Training) -> None:
    post(cast.erin, "change", deployment.pk, model_file=other.model_files[0])
    assert "Call off" in get(cast.erin, "detail", deployment.pk).content.decode()
    post(cast.erin, "rollback", deployment.pk, 1)
    deployment.refresh_from_db()
    assert deployment.next_version is None
    page = get(cast.erin, "detail", deployment.pk).content.decode()
    assert "Called off" in page
    assert "Try again" in page
    DeploymentVersion.objects.filter(number=2).update(activated_at=deployment.created_at)
    assert "Roll back to this" in get(cast.erin, "detail", deployment.pk).content.decode()
    assert "Roll back to this" not in get(cast.bob, "detail", deployment.pk).content.decode()
    post(cast.erin, "rollback", deployment.pk, 2)
    deployment.refresh_from_db()
    assert deployment.next_version
    post(cast.erin, "rollback", deployment.pk, 1)
    post(cast.erin, "version-delete", deployment.pk, 2)
    assert list(DeploymentVersion.objects.values_list("number", flat=True)) == [1]


def test_why_a_version_failed_is_shown(cast: Cast, deployment: Deployment, other: Training) -> None:
    DeploymentVersion.objects.create(
        deployment=deployment, number=2, training=other, bundle_key="a/b", error=Sentence("It is <broken>.")
    )
    page = get(cast.bob, "detail", deployment.pk).content.decode()
    assert "It is &lt;broken&gt;." in page
    assert "Failed" in page


def test_the_queries_of_the_page_do_not_grow_with_the_versions(
    cast: Cast, other: Training, django_assert_max_num_queries: Any
) -> None:
    deployment = deployment_row(other)
    DeploymentVersion.objects.update(bundle_info={"input": {"kind": "image", "shape": [None, 16, 16, 3]}, "engine": {}})
    for number in range(2, 10):
        DeploymentVersion.objects.create(deployment=deployment, number=number, training=other, bundle_key="a/b")
    erin = client(cast.erin)
    with django_assert_max_num_queries(9):
        assert erin.get(reverse("deployments:detail", args=[deployment.pk])).status_code == 200
