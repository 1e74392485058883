"""Every verb of the command line, by story. A verb reads flags, makes calls, prints; the server decides.

`failure` says what an error costs (exit code, one line), `output` how things are printed. Which module holds which
verb is for `chronos_tui.cli`, which loads only the one that was asked for.
"""
