"""Accounts in the admin: operators invite people by one-time links."""

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import AbstractUser
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dlmodeler_site.accounts import one_time_link
from dlmodeler_site.admin_base import ReadOnlyAdmin
from dlmodeler_site.models import Gpu, IdempotentAnswer

admin.site.site_header = admin.site.site_title = "DL Modeler"


class InvitingUserAdmin(UserAdmin):
    """Users; a new one needs no password, an invitation link lets the person set it."""

    actions = ("invite",)

    @admin.action(description=gettext_lazy("Make a one-time link to set a password"))
    def invite(self, request: HttpRequest, users: QuerySet[AbstractUser]) -> None:
        for user in users:
            link = request.build_absolute_uri(one_time_link(user))
            messages.info(
                request, _("Send this link to %(user)s; it works once: %(link)s") % {"user": user, "link": link}
            )


admin.site.unregister(get_user_model())
admin.site.register(get_user_model(), InvitingUserAdmin)


@admin.register(IdempotentAnswer)
class IdempotentAnswerAdmin(ReadOnlyAdmin):
    """Answers kept for Idempotency-Key; only to look at."""

    list_display = ("digest", "user", "status", "created_at")
    list_select_related = ("user",)


@admin.register(Gpu)
class GpuAdmin(ReadOnlyAdmin):
    """GPUs and who has them; only to look at."""

    list_display = ("name", "lease")
