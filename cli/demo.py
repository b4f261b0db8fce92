"""The stages of ``up`` that run the main job on the sample market."""

from collections.abc import Sequence

from cli.stage import Stage, UpContext


def stages(context: UpContext) -> Sequence[Stage]:
    """List the stages in their order; none as long as no step of the main job is wired.

    Parameters
    ----------
    context : UpContext
        Options say which days; see `cli.stage`.
    """
    del context
    return ()
