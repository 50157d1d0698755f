"""The embedded Cachet, held to recordings of real ones."""
