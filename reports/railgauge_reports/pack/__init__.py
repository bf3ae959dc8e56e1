"""Evidence packs: run folders, their reports and a manifest in one archive, signed or redacted on request."""
