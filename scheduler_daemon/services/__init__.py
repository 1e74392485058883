"""One use a function: see, may, change, record. A service takes an open connection and never commits."""
