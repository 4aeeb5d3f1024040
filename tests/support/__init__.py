"""What several tests use: waiting for a condition, free ports, the lab's command and cluster, fakes."""
