"""`python -m chronos_tui`."""

from chronos_tui.cli import main

main()
