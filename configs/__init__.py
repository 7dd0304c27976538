"""What is set: every setting, the workspace that holds all state, and the root of all errors."""
