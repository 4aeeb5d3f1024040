"""A lab's own namespaces without root: made, entered, joined, explained where the kernel forbids them.

The lab's first process makes a user, network, mount and PID namespace (``first``); whatever the lab starts lives inside. When
that process ends, the kernel ends everything else, and links, addresses, mounts and rules are gone with their namespaces.
"""
