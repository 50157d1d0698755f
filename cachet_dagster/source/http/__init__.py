"""HTTP to Cachet: one client with the token, the rate limit, retries, and errors that say what to do."""
