"""Entrance of ``python -m cli`` and of the command ``propdesk``."""

import sys

from cli.main import main

sys.exit(main())
