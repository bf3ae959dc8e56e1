"""What captured output says: a capture, its readers' common ground, and a capture as text."""
