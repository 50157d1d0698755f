"""What a load does on a bad day: a server that misbehaves on purpose, and what is promised for each fault."""
