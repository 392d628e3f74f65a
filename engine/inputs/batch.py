"""What goes through a network together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.arrays import Array, Bytes, Indices


@dataclass(frozen=True)
class Batch:
    """Pictures that go through the network together, as they are stored."""

    images: Bytes
    """(n + partners, H, W, C): the last ones only partners that others are mixed with. Fewer, the first ones with their
    partners, where the others are computed elsewhere."""
    targets: Array
    """(n + partners, K), or fewer as well."""
    samples: Indices
    """Their places in the data set, (n + partners,), of all."""
    epoch: int
    """From 1."""
    one_class: bool
    """Whether each picture is of one class, so that its target is 1 there and 0 elsewhere."""
    first: int = 0
    """Where in the step the first of them stands."""
    partners: int = 0

    def __len__(self) -> int:
        return len(self.samples) - self.partners

    def part(self, first: int, last: int) -> Batch:
        """Return some of the pictures, with their partners."""
        end = last + self.partners
        return replace(
            self,
            images=self.images[first:end],
            targets=self.targets[first:end],
            samples=self.samples[first:end],
            first=self.first + first,
        )
