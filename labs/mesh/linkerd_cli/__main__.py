"""``python -m labs.mesh.linkerd_cli``: what the wrapper ``.lab/bin/linkerd`` runs."""

import sys

from labs.mesh.linkerd_cli.app import main

sys.exit(main(sys.argv[1:]))
