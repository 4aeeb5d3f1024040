"""A container runtime without images, daemons or root: what a kubelet asks for, done with namespaces of the lab.

Three kinds of processes. ``shim``, one a node, small and of one thread: it makes sandboxes and containers, holds their output and
outlives the others. ``server``, one a lab: it speaks the kubelet's interface and remembers everything on disk. ``cri-streaming``,
a Go program: it carries exec, attach and port-forward. Killing the second or third disturbs no pod; killing a shim ends all of
its node's.
"""
