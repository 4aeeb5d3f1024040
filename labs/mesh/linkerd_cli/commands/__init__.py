"""One module per group of sub-commands, with arguments and output; the parent package's modules do the work."""
