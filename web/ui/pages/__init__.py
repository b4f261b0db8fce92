"""Every page, in the order of the navigation."""

from typing import Final

from web.ui.frame import PageSpec
from web.ui.pages import overview

PAGES: Final[tuple[PageSpec, ...]] = (*overview.PAGES,)
