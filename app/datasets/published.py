"""Well-known data sets that can be had by name: where their files are published, and their checksums.

Sources: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits" (1998); H. Xiao, K. Rasul,
R. Vollgraf, "Fashion-MNIST" (2017), https://github.com/zalandoresearch/fashion-mnist; A. Krizhevsky, "Learning
Multiple Layers of Features from Tiny Images" (2009), https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.api.downloads import PublishedName
from app.datasets.readers import ArchiveLimits, Reader
from app.datasets.readers.cifar import CifarArchive
from app.datasets.readers.idx import IdxPair
from app.datasets.readers.joined import Joined
from app.datasets.readers.splits import TEST, TRAIN

_DIGITS = tuple("0123456789")
_CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file as it is published."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PublishedDataset:
    """A data set that can be had by name.

    Attributes:
        address: where its files are published.
        background: the ground that its pictures are on.
        open: makes a reader of the folder that holds its files.
    """

    name: PublishedName
    title: str
    source: str
    address: str
    files: tuple[PublishedFile, ...]
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    images: int
    background: str
    open: Callable[[Path, ArchiveLimits], Reader]

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for file in self.files)


def _idx_reader(names: tuple[str, ...]) -> Callable[[Path, ArchiveLimits], Reader]:
    def open_both(folder: Path, limits: ArchiveLimits) -> Reader:
        return Joined(
            [
                IdxPair(
                    folder / f"{prefix}-images-idx3-ubyte.gz",
                    folder / f"{prefix}-labels-idx1-ubyte.gz",
                    limits,
                    names=names,
                    split=split,
                    prefix=prefix,
                )
                for prefix, split in (("train", TRAIN), ("t10k", TEST))
            ]
        )

    return open_both


def _cifar_reader(folder: Path, limits: ArchiveLimits) -> Reader:
    return CifarArchive(folder / "cifar-10-binary.tar.gz", _THINGS)


MNIST = PublishedDataset(
    name="mnist",
    title="MNIST: handwritten digits",
    source="LeCun, Cortes and Burges, 1998",
    address="https://storage.googleapis.com/cvdf-datasets/mnist",
    files=(
        PublishedFile(
            "train-images-idx3-ubyte.gz",
            9_912_422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        PublishedFile(
            "train-labels-idx1-ubyte.gz",
            28_881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        PublishedFile(
            "t10k-images-idx3-ubyte.gz",
            1_648_877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        PublishedFile(
            "t10k-labels-idx1-ubyte.gz",
            4_542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
    classes=_DIGITS,
    image_shape=(28, 28, 1),
    images=70_000,
    background="#000000",
    open=_idx_reader(_DIGITS),
)

FASHION_MNIST = PublishedDataset(
    name="fashion-mnist",
    title="Fashion-MNIST: pieces of clothing",
    source="Xiao, Rasul and Vollgraf, 2017",
    address="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    files=(
        PublishedFile(
            "train-images-idx3-ubyte.gz",
            26_421_880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        PublishedFile(
            "train-labels-idx1-ubyte.gz",
            29_515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        PublishedFile(
            "t10k-images-idx3-ubyte.gz",
            4_422_102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        PublishedFile(
            "t10k-labels-idx1-ubyte.gz",
            5_148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
    classes=_CLOTHES,
    image_shape=(28, 28, 1),
    images=70_000,
    background="#000000",
    open=_idx_reader(_CLOTHES),
)

CIFAR_10 = PublishedDataset(
    name="cifar-10",
    title="CIFAR-10: small colour photographs",
    source="Krizhevsky, 2009",
    address="https://www.cs.toronto.edu/~kriz",
    files=(
        PublishedFile(
            "cifar-10-binary.tar.gz",
            170_052_171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    ),
    classes=_THINGS,
    image_shape=(32, 32, 3),
    images=60_000,
    background="#ffffff",
    open=_cifar_reader,
)

PUBLISHED: Mapping[str, PublishedDataset] = {
    dataset.name: dataset for dataset in (MNIST, FASHION_MNIST, CIFAR_10)
}
