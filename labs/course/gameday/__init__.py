"""The game day: something is broken and nobody says what. Find the layer, the object and the repair before time runs out."""
