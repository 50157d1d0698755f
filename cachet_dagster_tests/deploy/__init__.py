"""Beyond one machine: several hosts' processes on loopback, over one PostgreSQL, with the settings of `deploy/`."""
