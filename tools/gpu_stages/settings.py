"""What is the same for all stages of a run, and how a stage's process is told."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Settings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """device: "cuda", "cuda:1" or "cpu". width, height: of the frames that are measured, even. quick: one repetition
    of everything, to see that it runs. out: an existing folder, as text.
    """

    device: str = "cuda"
    width: int = 1920
    height: int = 1080
    quick: bool = False
    out: str = "."

    def as_argument(self) -> str:
        """For `of_argument`."""
        return json.dumps(asdict(self))

    @classmethod
    def of_argument(cls, text: str) -> "Settings":
        """What `as_argument` wrote."""
        return cls(**json.loads(text))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height

    @property
    def bench_file(self) -> Path:
        """Where the stage `bench` writes its JSON."""
        return Path(self.out) / "bench.json"

    @property
    def whole_file(self) -> Path:
        """Where the stage `whole` writes its JSON."""
        return Path(self.out) / "whole.json"

    @property
    def profile_file(self) -> Path:
        """Where the stage `profile` writes its table."""
        return Path(self.out) / "profile.txt"
