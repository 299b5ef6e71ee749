"""The same API on loopback. Nothing imports it but the command line and notebooks."""
