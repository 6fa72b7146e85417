"""`python -m service` is the command `seethrough`."""

import sys

from service.cli.main import main

sys.exit(main())
