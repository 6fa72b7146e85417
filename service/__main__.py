"""`python -m service` is the command `seethrough`."""

import sys

from service.cli import main

sys.exit(main())
