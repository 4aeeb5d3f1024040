"""The stand-in mesh: programs that speak Linkerd's API with Envoy as the data plane (embedded backend only)."""
