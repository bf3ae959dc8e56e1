"""How ranks begin and end: launchers, the process of a rank, and the watch over all."""
