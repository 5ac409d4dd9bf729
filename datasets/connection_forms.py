"""The form of a connection, on the site and in the admin."""

from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from datasets.connections import try_out
from datasets.models import Connection
from dlmodeler_site.errors import UserError
from dlmodeler_site.forms import SiteForm

_FIELDS = ("name", "endpoint", "region", "bucket", "access_key")


def secret_key_field() -> forms.CharField:
    """Written, and never shown again."""
    return forms.CharField(
        label=_("Secret key"),
        max_length=500,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


class ConnectionForm(SiteForm):
    """What was typed is kept on an error, but for the secret key."""

    name = forms.CharField(label=_("Name"), max_length=100)
    endpoint = forms.CharField(label=_("Endpoint"), max_length=255, required=False)
    region = forms.CharField(
        label=_("Region"), max_length=50, required=False, help_text=_("As the storage names it, such as eu-central-1.")
    )
    bucket = forms.CharField(
        label=_("Bucket"), max_length=63, required=False, help_text=_("Blank for all buckets of the key.")
    )
    access_key = forms.CharField(
        label=_("Access key"), max_length=255, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    secret_key = secret_key_field()

    def __init__(self, *args: Any, connection: Connection, **kwargs: Any) -> None:
        kwargs.setdefault("initial", {field: getattr(connection, field) for field in _FIELDS})
        super().__init__(*args, **kwargs)
        self.fields["endpoint"].help_text = _("Blank for AWS. The operator allows: %(allowed)s.") % {
            "allowed": ", ".join(settings.DLM_S3_ENDPOINTS)
        }
        if connection.pk is None:
            self.fields["secret_key"].required = True
        else:
            self.fields["secret_key"].help_text = _("Blank leaves it as it is.")

    def fill(self, connection: Connection) -> str:
        """Put what was typed into the row; answers the secret key, "" where none was typed."""
        for field in _FIELDS:
            setattr(connection, field, self.cleaned_data[field])
        return str(self.cleaned_data["secret_key"])


class ConnectionAdminForm(forms.ModelForm):
    """As on the site: the connection is tried out before it is saved."""

    secret_key = secret_key_field()

    class Meta:
        model = Connection
        fields = ("project", *_FIELDS)

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # fills the instance; the stubs leave it out
        if self.errors:
            return
        try:
            try_out(self.instance, secret_key=self.cleaned_data["secret_key"])
        except UserError as error:
            self.add_error(error.field if error.field in self.fields else None, error.message)
