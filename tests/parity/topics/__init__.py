"""One module per topic; each has a ``topic`` and registers its rows there."""
