"""The digest of input data: what makes a rerun on changed data behind an unchanged URI do the work again."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from longtail.contracts.errors import UserError
from longtail.tables.sources import list_files, open_file, reaching


def fingerprint(uris: Sequence[str]) -> str:
    """SHA-256 over names, sizes and bytes of all files behind the URIs (local or bucket), in the order given.

    Raises:
        UserError: naming the URI where nothing is there or it cannot be read.
    """
    digest = hashlib.sha256()
    for uri in uris:
        for file in list_files(uri):
            content, size = hashlib.sha256(), 0
            with reaching(file), open_file(file) as stream:
                while chunk := stream.read(1 << 20):
                    content.update(chunk)
                    size += len(chunk)
            digest.update(f"{Path(file).name}\0{size}\0{content.hexdigest()}\n".encode())
        digest.update(b"\n")  # the end of one table's files
    if not uris:
        raise UserError("fingerprint: no input was given; name the interactions and items tables")
    return digest.hexdigest()
