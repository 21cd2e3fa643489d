"""What the benchmarks share.

Python looks for modules next to the script first, where http.py would stand in for its own
http: whoever imports this package lets Python's own come first."""

import sys

sys.path.append(sys.path.pop(0))
