"""The Lua scripts of all packages, and the one runner. Redis executes each in one atomic step."""
