"""The loops of the daemon. Each reads, calls what decides, and writes; each has one `step` that tests call."""
