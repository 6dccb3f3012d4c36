"""What fetching would ask for and receive, reckoned before anything is fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from indexer.harvesting.choosing import PAGE, PAGES
from indexer.harvesting.rounds import ChoiceOptions, Rounds
from indexer.harvesting.stored import SpeciesCounts

PHOTOS_PER_FIND = 1.5  # as of the recorded finds of the Danish atlas: 87 photos of 60
BYTES_PER_PHOTO = 400_000  # of 1,024 to 2,048 pixels
BYTES_PER_RECORD = 500  # of a page, packed


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a round is going to cost, at most where it is not yet chosen."""

    species: int  # with photos
    finds: int
    photos: int
    requests: int
    byte_count: int
    hours: float
    chosen: bool  # whether finds and photos are known and not reckoned


def estimate_fetch(
    counts: Sequence[SpeciesCounts],
    rounds: Rounds,
    options: ChoiceOptions,
    *,
    pause: float,
    number: int,
    by_download: bool = False,
) -> Estimate:
    """Reckon what is left of a round; `pause` is the time between two requests, in seconds.

    A download has all records in one file; the hours do not say how long GBIF prepares it.
    """
    wanted = [one for one in counts if one.with_photos]
    known = {choice.species: choice for choice in rounds.choices() if choice.round == number}
    finds = photos = pages = records = 0
    for one in wanted:
        if (choice := known.get(one.key)) is not None:
            finds += len(choice.results)
            photos += sum(len(record.get("media") or record.get("photos") or ()) for record in choice.results)
            continue
        expected = min(one.with_photos, options.per_species)
        finds += expected
        photos += round(expected * min(PHOTOS_PER_FIND, options.photos_per_find))
        if by_download:
            records += one.with_photos
            continue
        read = min(one.with_photos, (PAGES + 11) * PAGE)
        pages += 1 + -(-read // PAGE) + (one.with_photos > PAGES * PAGE)
        records += read
    return Estimate(
        species=len(wanted),
        finds=finds,
        photos=photos,
        requests=pages + photos,
        byte_count=records * BYTES_PER_RECORD + photos * BYTES_PER_PHOTO,
        hours=(pages + photos) * max(pause, 0.1) / 3600,
        chosen=len(known) == len(wanted),
    )
