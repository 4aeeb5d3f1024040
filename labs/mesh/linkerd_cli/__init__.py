"""The stand-in's ``linkerd`` command: the sub-commands the notebooks type, with the real one's output and exit codes."""
