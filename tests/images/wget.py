#!/opt/fraiseql/bin/python
"""As much of wget as the health checks of docker-compose.yml use."""

import sys
from urllib.request import Request, urlopen

urlopen(Request(sys.argv[-1], method="HEAD"), timeout=4)
