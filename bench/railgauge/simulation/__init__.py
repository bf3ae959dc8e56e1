"""A cluster that is computed: its links, and how flows share them."""
