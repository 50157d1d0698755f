"""`python -m cachet_dagster run` and `doctor`: what `make run` and `make doctor` call."""

import sys

from cachet_dagster.cli import main

sys.exit(main())
