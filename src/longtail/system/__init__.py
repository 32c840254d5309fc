"""The machine and what lies around it: cores, memory, ports, HTTP, places of files, checks before work starts."""
