"""A member of a zip file, unpacked: in memory, or where it is large, in a temporary file that is read where touched."""

import mmap
import shutil
import tempfile
import zipfile

from lib.runtime.errors import UserError
from lib.runtime.files import NO_SPACE

IN_MEMORY = 32 << 20  # bytes of a member: one that has no more stays in memory
LONG = 1 << 12  # bytes: what is longer is not copied when it is read


class Unpacked:
    """A file for reading, whose long parts are views of it that stay valid."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._at = self._released = 0
        self._bytes: bytes | mmap.mmap
        if archive.getinfo(name).file_size <= IN_MEMORY:
            self._bytes = archive.read(name)
            return
        try:
            with archive.open(name) as packed, tempfile.TemporaryFile() as file:
                shutil.copyfileobj(packed, file, 1 << 20)
                file.flush()
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            raise UserError(
                f"{archive.filename} cannot be unpacked: {tempfile.gettempdir()} is full; make room there, or say "
                "where else there is some (TMPDIR)"
            ) from None

    def read(self, count: int = -1) -> bytes | memoryview:
        """So many bytes from where the last ones ended, or as many as there are."""
        left = len(self._bytes) - self._at
        count = left if count < 0 else min(count, left)
        part = memoryview(self._bytes)[self._at : self._at + count]
        self._at += count
        if self._at - self._released > IN_MEMORY:  # systems may hand out 2 MB of a file where a byte is touched
            self.release()
        return part if count > LONG else bytes(part)

    def readline(self) -> bytes:
        """The bytes up to the end of a line."""
        end = self._bytes.find(b"\n", self._at)
        line = self._bytes[self._at : len(self._bytes) if end < 0 else end + 1]
        self._at += len(line)
        return line

    def release(self) -> None:
        """Let go of the memory of what was touched; it is read again where it is touched again."""
        self._released = self._at
        if isinstance(self._bytes, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            self._bytes.madvise(mmap.MADV_DONTNEED)
