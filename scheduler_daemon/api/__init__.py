"""HTTP over the daemon's Unix socket: who asks, what may be asked, how errors are told."""
