"""Per cluster one Envoy that stands for kube-proxy and cluster DNS: Service names and ClusterIPs lead to ready endpoints."""
