"""The sub-commands of the real Linkerd CLI (edge-26.8), as data: learners may have read about them and type them here.

Source: the commands under cli/cmd, multicluster/cmd and viz/cmd of github.com/linkerd/linkerd2.
"""

from __future__ import annotations

SUB_COMMANDS: dict[str, tuple[str, ...]] = {
    "": (
        "authz",
        "check",
        "completion",
        "diagnostics",
        "help",
        "identity",
        "inject",
        "install",
        "install-cni",
        "multicluster",
        "profile",
        "prune",
        "uninject",
        "uninstall",
        "upgrade",
        "version",
        "viz",
    ),
    "diagnostics": ("controller-metrics", "endpoints", "policy", "profile", "proxy-metrics"),
    "multicluster": ("allow", "check", "gateways", "install", "link", "link-gen", "prune", "uninstall", "unlink"),
    "viz": (
        "allow-scrapes",
        "authz",
        "check",
        "dashboard",
        "edges",
        "install",
        "list",
        "profile",
        "prune",
        "routes",
        "stat",
        "stat-inbound",
        "stat-outbound",
        "tap",
        "top",
        "uninstall",
    ),
}
"""Group ("" is the command itself) → the real command's sub-commands in it."""


def only_real(group: str, here: list[str]) -> list[str]:
    """The real command's sub-commands in a group, without those that the stand-in has (``here``)."""
    return sorted(set(SUB_COMMANDS[group]) - set(here))
