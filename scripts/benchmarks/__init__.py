"""The lab's figures on this machine: ``scripts/bench``. A tool for those who work on the lab; the lab imports nothing of it."""
