"""The offline bundle: everything a lab would download or compile, in one file for a USB stick or a classroom's network.

A bundle is a ``.tar.zst`` that begins with a *skippable frame* (RFC 8878, section 3.1.2), which zstd tools ignore: a ZIP file
with the bundle's manifest and the Python packages. A machine with nothing installed can read that with the standard library alone
and make its ``.venv`` from it. Only then can it read the rest: a tar archive of the other members, each under its path below the
user's cache folder.
"""
