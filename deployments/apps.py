from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DeploymentsConfig(AppConfig):
    name = "deployments"
    verbose_name = _("Deployments")

    def ready(self) -> None:
        from deployments import usage
        from deployments.servers import ModelServers
        from deployments.traffic import models, prometheus
        from dlmodeler_site import registry

        servers = ModelServers()
        registry.register_duty("model servers", every_s=1, run=servers.reconcile, close=servers.close)
        registry.register_duty("traffic", every_s=3600, run=models.sweep)
        prometheus.register()
        registry.register_dependants(usage.in_use_by)
        registry.register_descendants("training", usage.deployments_of_trainings)
        registry.register_descendants("deployment", usage.predictions_of_deployments)
        registry.register_descendants("data", usage.predictions_of_data)
        registry.register_contents(usage.delete_in_project)
        registry.register_counter("deployments", usage.count_deployments)
