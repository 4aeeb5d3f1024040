"""Clusters whose nodes are containers of one Docker engine: kind and k3d are two ``tool``s of one backend."""
