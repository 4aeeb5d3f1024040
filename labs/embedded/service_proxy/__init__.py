"""One Envoy per cluster, in place of kube-proxy and cluster DNS: Service names and ClusterIPs lead to ready endpoints."""
