"""The operator's account, made at the first start. There is no default password."""

from django.conf import settings
from django.contrib.auth import get_user_model

from dlmodeler_site.accounts import one_time_link


def ensure_operator() -> str | None:
    """Make the operator where there is none that can log in; answer what the person at the terminal must know.

    With DLM_ADMIN_PASSWORD (and DLM_ADMIN_USERNAME) the account gets these. Without, a one-time link is printed, at
    every start again until somebody set a password with it.
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
        return f"The operator “{operator.get_username()}” was made with the password of DLM_ADMIN_PASSWORD."
    if operator.pk is None:
        operator.set_unusable_password()
        operator.save()
    base = settings.DLM_PUBLIC_URL or f"http://localhost:{settings.DLM_PORT}"
    return f"Set the password of “{operator.get_username()}” (this link works once): {base}{one_time_link(operator)}"
