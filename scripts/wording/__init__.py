"""``scripts/terms``: the project's words. Which to use is in ``docs/terms.toml``; spelling is checked by codespell."""
