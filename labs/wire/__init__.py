"""What programs in pods and the rooms that drive clusters share; imports neither."""
