"""The process that starts, watches, ends and reaps jobs. It imports the standard library alone."""
