"""Two configurations beside each other: an effect, its interval, and the truth where nobody can tell."""
