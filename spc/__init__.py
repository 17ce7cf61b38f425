"""The service-profit chain: from survey files to an honest figure in money.

The door of the package. What it offers is listed in ``__init__.pyi``, for readers, type checkers and the loader
alike; names load when first used, so ``import spc`` is quick and pulls in no plotting library.

Examples
--------
>>> import spc
>>> fit = spc.fit("y ~ x", spc.Moments(["x", "y"], 100, None, [[1, 0.5], [0.5, 1]]))
>>> round(float(fit.tidy()["estimate"].iloc[0]), 3)
0.5
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
