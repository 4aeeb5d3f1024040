"""The smallest possible server and client, so that measurements show what is between them."""
