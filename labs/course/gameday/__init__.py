"""The game day: something is broken, nobody says what. Find the plane, the object and the repair before the time runs."""
