"""What importers share: reading large logs, typed rows, run folders of them; see `importers`."""
