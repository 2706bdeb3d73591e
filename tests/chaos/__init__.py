"""The fault harness: a real stack is hurt in named ways, and what it promises is counted after."""
