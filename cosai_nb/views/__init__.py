"""Summaries to eyes: plots, the explorer, the report. Numbers in words need no matplotlib, so plots are imported when they are used."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["plots"])
