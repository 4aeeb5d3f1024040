"""What each notebook leaves true in the clusters: one module per notebook, one function per check."""
