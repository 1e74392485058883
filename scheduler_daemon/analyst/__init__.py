"""The process that learns from ended runs and finds insights. It reads SQL, keeps what it learns in a file of its own,
and tells the daemon what it finds; nobody waits for it.
"""
