"""The pages of projects."""

import pytest
from django.test import Client
from django.urls import reverse

from projects.models import Project
from tests.cast import make_cast, make_user

pytestmark = pytest.mark.django_db


def logged_in(user: object) -> Client:
    client = Client()
    client.force_login(user)  # type: ignore[arg-type]
    return client


def test_an_anonymous_visitor_is_sent_to_the_login() -> None:
    assert reverse("account_login") in Client().get(reverse("projects:list"))["Location"]


def test_intro_needs_no_login() -> None:
    assert Client().get("/").status_code == 200


def test_create_keeps_what_was_typed_and_marks_the_wrong_field() -> None:
    answer = logged_in(make_user("alice")).post(reverse("projects:create"), {"name": "Typed name", "description": ""})
    assert answer.status_code == 200
    assert "Typed name" in answer.text
    assert "is-invalid" in answer.text


def test_create_with_members() -> None:
    alice, bob = make_user("alice"), make_user("bob")
    answer = logged_in(alice).post(
        reverse("projects:create"), {"name": "A", "description": "B", f"role-{bob.pk}": "viewer"}
    )
    project = Project.objects.get()
    assert answer["Location"] == reverse("datasets:list", args=[project.pk])
    assert dict(project.memberships.values_list("user__username", "role")) == {"alice": "owner", "bob": "viewer"}


def test_cards_show_edit_only_to_owners() -> None:
    cast = make_cast()
    edit = reverse("projects:edit", args=[cast.project.pk])
    assert edit in logged_in(cast.alice).get(reverse("projects:list")).text
    assert edit not in logged_in(cast.bob).get(reverse("projects:list")).text


def test_the_number_of_queries_does_not_grow_with_the_cards(django_assert_max_num_queries) -> None:
    from projects.members import create_project

    alice = make_user("alice")
    for number in range(12):
        create_project(alice, name=f"Project {number}", description="x")
    client = logged_in(alice)
    with django_assert_max_num_queries(14):
        client.get(reverse("projects:list"))


def test_deleting_says_what_goes_and_deletes() -> None:
    cast = make_cast()
    client = logged_in(cast.alice)
    assert cast.project.name in client.get(reverse("projects:delete", args=[cast.project.pk])).text
    client.post(reverse("projects:delete", args=[cast.project.pk]))
    assert not Project.objects.exists()
