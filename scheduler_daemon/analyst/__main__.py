"""Start as `python -m scheduler_daemon.analyst FILE`, with the daemon at standard input and output.

The URL of the database, which may hold a password, stands in the environment: others can read a command line.
"""

from scheduler_daemon.analyst.process import main

if __name__ == "__main__":
    main()
