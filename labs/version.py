"""The version of the lab, as ``pyproject.toml`` has it."""

VERSION = "0.1.0"
