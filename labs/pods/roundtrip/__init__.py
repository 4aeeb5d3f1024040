"""The smallest server and client there can be, so that what is between them is what one measures."""
