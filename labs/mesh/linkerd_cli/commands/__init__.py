"""One module per family of sub-commands: arguments and output; the work is done in the modules above."""
