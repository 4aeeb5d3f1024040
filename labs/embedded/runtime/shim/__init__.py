"""The process that makes and holds a node's sandboxes and containers: ``python -m labs.embedded.runtime.shim``.

It uses the standard library only and has one thread, so that forking is safe and cheap and PR_SET_PDEATHSIG means what it says.

Protocol: a Unix socket of JSON packets, some with file descriptors. One connection carries one request and the answers to
it: ``{"op": "sandbox", "spec": path}`` and ``{"op": "start", "spec": path}`` are answered ``{"pid": n}`` or ``{"error": text}``;
``exec`` (``container``, ``argv``, ``tty``; descriptors) and ``attach`` (``container``; descriptors) ``{"exit": code}`` at the
end; closing the connection before that kills the exec'd program. ``watch`` is answered with ``{"running": {id: pid}}`` and then
``{"container": id, "exit": code, "finished": nanoseconds}`` for each that ends. ``signal``, ``resize``, ``reopen``, ``release``
and ``stop`` are answered ``{}``.
"""
