"""A folder for each code location, and in it one for each page."""
