"""The stand-in's ``linkerd`` command: the sub-commands that the notebooks use, with the real command's output and exit codes."""
