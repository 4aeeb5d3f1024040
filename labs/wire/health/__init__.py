"""gRPC's health-checking protocol as protobuf modules: what a gRPC probe asks, and what tests answer."""
