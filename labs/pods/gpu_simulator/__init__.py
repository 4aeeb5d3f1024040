"""Simulated GPUs of one node: a device model driven by real work, a device plugin and a DCGM-shaped exporter."""
