"""What both gunicorns (web, serving) share; addresses and how many workers and threads come on the command line."""

import os

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from dlmodeler_site.parent_death import die_with_parent
from dlmodeler_site.processes import home_folder

worker_class = "gthread"
keepalive = 30
graceful_timeout = 6  # the supervisor kills what is left after 8 s
worker_tmp_dir = str(home_folder(os.environ))
control_socket_disable = True
accesslog = "-"  # standard output, which the supervisor writes to DLM_HOME/logs and rotates
access_log_format = '%(h)s %(t)s "%(r)s" %(s)s %(b)s %(M)sms "%(a)s"'


def post_fork(server: Arbiter, worker: Worker) -> None:
    """Gunicorn's workers notice a killed master only at their next heartbeat; the kernel at once."""
    die_with_parent(server.pid)
