"""The forms of projects."""

from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.utils.translation import gettext_lazy as _

from dlmodeler_site.access import Role
from dlmodeler_site.forms import SiteForm
from projects.members import Member
from projects.models import Project


class ProjectForm(SiteForm):
    """Name, description, and the role of every user: `members` holds one `role-<user id>` choice for each."""

    name = forms.CharField(label=_("Name"), max_length=100)
    description = forms.CharField(label=_("Description"), max_length=2000, widget=forms.Textarea)

    def __init__(self, *args: Any, project: Project | None = None, user: Any = None, **kwargs: Any) -> None:
        if project is not None:
            kwargs.setdefault("initial", {"name": project.name, "description": project.description})
        super().__init__(*args, **kwargs)
        self.user, self.project = user, project
        roles = dict(project.memberships.values_list("user_id", "role")) if project else {user.pk: Role.OWNER}
        people = get_user_model().objects.filter(is_active=True).order_by("username")
        self.people = [
            {
                "user": person,
                "field": f"role-{person.pk}",
                "role": self.data.get(f"role-{person.pk}", roles.get(person.pk, "")),
                "fixed": project is None and person == user,
            }
            for person in people
        ]
        self.fields["members"] = forms.Field(required=False, widget=forms.HiddenInput)

    def members(self) -> list[Member]:
        """The members as chosen."""
        return [
            Member(person["user"].get_username(), Role.OWNER if person["fixed"] else person["role"])
            for person in self.people
            if person["role"] or person["fixed"]
        ]
