"""What each notebook leaves true in the clusters: one module a notebook, each check a function."""
