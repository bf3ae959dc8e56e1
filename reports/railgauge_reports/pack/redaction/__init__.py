"""Names and addresses of a site replaced by others, and the search for what is left of them."""
