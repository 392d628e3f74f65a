"""A folder of class folders: looked at, refused in words where it is none, and packed."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from app.cli.options import CommandError

_LOOKED_AT = 200
"""Files that are looked into before the folder is refused as one without pictures."""
_LAYOUT = (
    "make a folder for each thing, named after it, with its pictures directly in it: cat/1.jpg, dog/2.jpg"
)


@dataclass(frozen=True)
class ClassFolders:
    """Pictures in class folders.

    Attributes:
        root: the folder that has them, with `train`, `dev` or `test` between or without.
        pictures: paths below it.
        others: how many files in it have no name of a picture.
    """

    root: Path
    pictures: tuple[PurePosixPath, ...]
    others: int

    @property
    def classes(self) -> Counter[str]:
        """How many pictures each class has."""
        return Counter(picture.parent.name for picture in self.pictures)

    def pack(self, target: Path) -> None:
        """Write an archive of the pictures, file by file, as they are: they are compressed already.

        Raises:
            CommandError: a picture cannot be read, or the archive cannot be written.
        """
        try:
            # pictures older than 1980, as some cameras date them, are no reason to fail
            with zipfile.ZipFile(target, "w", strict_timestamps=False) as archive:
                for picture in self.pictures:
                    archive.write(self.root / picture, str(picture))
        except OSError as error:
            raise CommandError(
                f"cannot pack {error.filename or target}: {error.strerror or error}"
            ) from error


def read_folder(root: Path) -> ClassFolders:
    """Look at a folder of class folders; hidden files and folders do not count.

    Raises:
        CommandError: there are no pictures in it, they do not lie in class folders, or there is only one class.
    """
    from app.pictures.files import picture_endings, picture_size

    endings = picture_endings()
    files = sorted(_files(root))
    pictures = tuple(file for file in files if file.suffix.lower() in endings)
    if not pictures:
        held = f"only {', '.join(map(str, files[:3]))}" if files else "no file at all"
        raise CommandError(f"there are no pictures in {root}: it holds {held}", _LAYOUT)
    inside = tuple(picture for picture in pictures if len(picture.parts) > 1)
    if not inside:
        raise CommandError(
            f"the {len(pictures)} pictures in {root} lie in no class folders, so that nothing says what they show",
            _LAYOUT,
        )
    looked_at = inside[:: len(inside) // _LOOKED_AT + 1]
    if all(picture_size((root / picture).read_bytes()) is None for picture in looked_at):
        raise CommandError(f"no file in {root} holds a picture that can be read, such as {inside[0]}")
    found = ClassFolders(root, inside, len(files) - len(inside))
    if len(found.classes) == 1:
        (name,) = found.classes
        raise CommandError(
            f"there is only one class in {root}, {name!r}: a model has to tell it from something",
            "add a folder with pictures of something else, such as what the camera sees otherwise",
        )
    return found


def _files(root: Path) -> Iterator[PurePosixPath]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                yield PurePosixPath((Path(folder) / name).relative_to(root).as_posix())
