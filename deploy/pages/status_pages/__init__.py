"""The status pages of an organisation, divided among code locations."""
