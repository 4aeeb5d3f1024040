"""The control room: a panel in a notebook that shows both clusters live and lets load and failures be turned on and off."""
