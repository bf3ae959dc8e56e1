"""An audit: what is read on every node, judged under a profile, compared and shown."""
