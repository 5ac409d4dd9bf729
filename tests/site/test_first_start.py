"""The operator's account: from the environment or by a one-time link, never with a default password."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from dlmodeler_site.first_start import ensure_operator

pytestmark = pytest.mark.django_db


def test_the_environment_gives_name_and_password(settings) -> None:
    settings.DLM_ADMIN_USERNAME, settings.DLM_ADMIN_PASSWORD = "root", "a-password-of-mine"
    ensure_operator()
    assert get_user_model().objects.get(username="root").check_password("a-password-of-mine")
    settings.DLM_ADMIN_PASSWORD = "another"
    assert ensure_operator() is None
    assert get_user_model().objects.get().check_password("a-password-of-mine"), "only the first start sets it"


def test_without_it_a_link_sets_the_password_once() -> None:
    message = ensure_operator()
    assert message
    assert not get_user_model().objects.get().has_usable_password()
    (path,) = re.findall(r"http://[^/]+(/\S+)", message)
    client = Client()
    form = client.get(path, follow=True)
    form_path = form.redirect_chain[-1][0]
    password = {"password1": "correct-horse-battery", "password2": "correct-horse-battery"}
    assert client.post(form_path, password).status_code == 302
    assert get_user_model().objects.get().check_password("correct-horse-battery")
    assert ensure_operator() is None
    again = Client().get(path, follow=True)
    assert not again.redirect_chain or "password1" not in again.text


def test_nobody_signs_up_alone() -> None:
    Client().post(
        "/accounts/signup/", {"username": "x", "password1": "correct-horse-1", "password2": "correct-horse-1"}
    )
    assert not get_user_model().objects.exists()
