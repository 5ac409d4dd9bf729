from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DeploymentsConfig(AppConfig):
    name = "deployments"
    verbose_name = _("Deployments")

    def ready(self) -> None:
        from deployments.servers import ModelServers
        from deployments.usage import count_deployments, delete_in_project, in_use_by
        from dlmodeler_site.registry import (
            register_contents,
            register_counter,
            register_dependants,
            register_duty,
        )

        servers = ModelServers()
        register_duty("model servers", every_s=1, run=servers.reconcile, close=servers.close)
        register_dependants(in_use_by)
        register_contents(delete_in_project)
        register_counter("deployments", count_deployments)
