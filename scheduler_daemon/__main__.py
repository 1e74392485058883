"""`python -m scheduler_daemon` is chronosd."""

from scheduler_daemon.cli import main

main()
