"""`python -m cachet_dagster run`, `doctor` and `report`: what `make` calls."""

import sys

from cachet_dagster.cli import main

sys.exit(main())
