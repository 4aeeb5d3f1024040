"""What programs in pods share with the packages that drive clusters; imports neither."""
