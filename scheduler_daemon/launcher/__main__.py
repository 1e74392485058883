"""Start the launcher: `python -I -S -E .../launcher/__main__.py STATE_DIR SOCKET [--spawners N] [--no-groups]`.

Returns 0 once a launcher listens, be it this one or one that was there before; the launcher itself goes on behind.
Started without site packages, so that it is small and up at once; hence the path is set here.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    from scheduler_daemon.launcher.startup import main

    sys.exit(main(sys.argv[1:]))
