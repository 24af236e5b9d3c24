"""Ways to make texts comparable: each gives vectors, and says what it is."""
