"""gRPC's health-checking protocol as protobuf modules: gRPC probes send it, and servers in tests answer it."""
