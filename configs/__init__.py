"""What is set: every knob, the workspace that holds all state, and the root of all errors."""
