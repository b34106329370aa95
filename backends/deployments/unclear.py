"""What a control object says where nobody can tell the shares."""


class Unclear(ValueError):
    """Nobody can tell the shares: why, and in `fix` what to do."""

    def __init__(self, why: str, fix: str) -> None:
        super().__init__(why)
        self.fix = fix
