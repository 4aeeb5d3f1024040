"""A container runtime without images, daemons or root: it serves a kubelet with namespaces of the lab.

Three kinds of processes. ``shim``, one per node, small, single-threaded: makes sandboxes and containers, holds their output and
outlives the others. ``server``, one per lab: speaks the kubelet's interface and remembers everything on disk. ``cri-streaming``,
a Go program: it carries exec, attach and port-forward. Killing the second or third disturbs no pod; killing a shim ends all of
its node's.
"""
