"""The API (§7.2): reads the tables as the reader, never touches the daemon's process."""
