"""``python -m cosai_nb`` is ``cosai-nb``."""

import sys

from cosai_nb.cli import main

if __name__ == "__main__":
    sys.exit(main())
