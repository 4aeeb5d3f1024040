"""Observable behaviours of Linkerd and of a kubelet: each is asked of the backend at hand and compared with a recording.

A topic is a module of ``tests.parity.topics``; a row is a function there with what was recorded beside it. ``scripts/parity``
runs them; ``docs/parity.md`` is written from them.
"""
