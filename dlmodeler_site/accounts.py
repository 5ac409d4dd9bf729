"""Accounts: sign-up is closed, people come in by a one-time link; first start makes the operator."""

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.http import HttpRequest
from django.urls import reverse


class ClosedSignup(DefaultAccountAdapter):  # type: ignore[misc]
    """Nobody signs up by themselves."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False


class SocialAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """Who the configured identity provider lets in may have an account."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: object) -> bool:
        return True


def one_time_link(user: AbstractUser) -> str:
    """The path of a page on which `user` sets a password; it works once, until the password is set."""
    key = f"{user_pk_to_url_str(user)}-{default_token_generator.make_token(user)}"
    uidb36, _, token = key.partition("-")
    return reverse("account_reset_password_from_key", kwargs={"uidb36": uidb36, "key": token})


def ensure_operator() -> str | None:
    """First start: make the operator account. The path of its one-time link, or None when a password is set.

    With DLM_ADMIN_USERNAME and DLM_ADMIN_PASSWORD the account gets these; without, a link is made again at every
    start until somebody used it. There is no default password.
    """
    user_model = get_user_model()
    operators = user_model.objects.filter(is_superuser=True, is_active=True)
    if any(operator.has_usable_password() for operator in operators):
        return None
    name = settings.DLM_ADMIN_USERNAME or "operator"
    operator = operators.first() or user_model(username=name, is_superuser=True, is_staff=True)
    if settings.DLM_ADMIN_PASSWORD:
        operator.set_password(settings.DLM_ADMIN_PASSWORD)
        operator.save()
        return None
    if operator.pk is None:
        operator.set_unusable_password()
        operator.save()
    return one_time_link(operator)
