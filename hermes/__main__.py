"""`python -m hermes`: the command line where no `hermes` script is installed.

The background daemon is started this way too, since it works for an install and
for a checkout alike.
"""

import sys

from hermes.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
