"""The fault harness: injects faults into a real stack, then checks every guarantee."""
