"""The commands of this floor, one file each; pyproject.toml declares them."""
