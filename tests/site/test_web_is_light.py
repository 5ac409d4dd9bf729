"""The web process never imports what only computing needs."""

import subprocess
import sys


def test_the_web_process_imports_no_tensorflow() -> None:
    code = (
        "import sys\n"
        "from dlmodeler_site.wsgi import application\n"
        "from django.urls import get_resolver\n"
        "get_resolver().url_patterns\n"
        "heavy = {'tensorflow', 'keras', 'openvino', 'sklearn', 'scipy'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
