"""The offline bundle: everything that a lab would fetch or compile, in one file that a USB stick or a room's network can carry.

A bundle is a ``.tar.zst`` that begins with a *skippable frame* (RFC 8878, section 3.1.2), which zstd tools pass over: a ZIP
file with the bundle's manifest and the Python packages. A machine on which nothing is installed reads that with the standard
library alone, makes its ``.venv`` from it, and only then has what it takes to read the rest: a tar archive of the other members,
each at its path below the user's cache folder.
"""
