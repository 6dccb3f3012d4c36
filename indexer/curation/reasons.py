"""Reasons for rejected records and dropped values, each with advice for curators."""

from __future__ import annotations

from collections.abc import Mapping

LICENCE_ADVICE = (
    "ask the author, or correct the licence; give the same licence to a whole archive with --column licence==..."
)

REJECTED: Mapping[str, str] = {
    "absent": "nothing: a record of absence has no photo of the fungus",
    "ambiguous-identification": "say which find the photo shows: with an occurrenceID, or one row for each",
    "another-species-on-page": "nothing: the picture may be of the other species; or import it from a page of its own",
    "bad-address": "correct the photo's address; only http and https are fetched",
    "conflicting-duplicate": "settle which species the photo shows; it stands under two",
    "conflicting-identification": "settle which species the observation, or the photo, shows",
    "cultivated": "nothing, or clear establishmentMeans where the find was a wild one",
    "duplicate": "nothing: the photo, or the row's key, is there already",
    "enough-of-species": "nothing: 50 found pictures of a species are taken, the first of the table",
    "licence-missing": LICENCE_ADVICE,
    "licence-not-accepted": "import with --licences noncommercial or any where your use allows it",
    "licence-reserved": "ask the author for a licence",
    "licence-unknown": LICENCE_ADVICE,
    "malformed-line": "correct the line: its quotes, or the number of its cells",
    "name-not-beside-picture": "nothing, or write genus and species in the picture's caption",
    "no-author": "name the author in the column creator or rightsHolder",
    "no-identification": "fill scientificName",
    "no-photo": "nothing, or name the photo of the record",
    "not-a-find": "nothing: samples, cultures, fossils and drawings are no field photos",
    "not-a-fungus": "nothing, or correct the kingdom",
    "not-a-name": "correct the scientific name",
    "not-a-photo": "nothing, or correct the media type and format",
    "not-accepted": "nothing, or give the accepted name in acceptedNameUsage",
    "not-an-image": "convert the file to JPEG, PNG, WebP or HEIC",
    "not-fetched": "import without --offline, or put the file where --photos says",
    "not-to-species": "identify the find to species, or correct the name's spelling",
    "orphan": "add the row that this one belongs to, or correct its key",
    "outside-folder": "put the photos below the archive, or name their folder with --photos",
    "photo-missing": "add the file, correct its path, or name its folder with --photos",
    "uncertain-identification": "settle the identification, or import with --uncertain to take guesses too",
    "picture-of-two-species": "settle which species the picture shows, and remove the other line",
    "too-large": "give a smaller version of the photo",
    "unknown-species": "nothing: the archive itself does not know the species",
    "unreachable": "run the import again later, or correct the address",
    "unreadable": "replace the photo by one that opens",
    "unreadable-name": "rename the file in UTF-8",
    "unreadable-text": "say the text's encoding with --encoding",
    "unresolved-synonym": "give the accepted name in acceptedNameUsage, or import a checklist that has the synonym",
}
"""Reasons for rejecting a whole record."""

DROPPED: Mapping[str, str] = {
    "aspect-not-known": "name one of cap, hymenium, stipe, section, habitat, microscopy",
    "coordinates-not-on-earth": "give degrees; national grids are not read",
    "coordinates-not-read": "give decimal degrees in decimalLatitude and decimalLongitude",
    "coordinates-zero": "nothing, or give the place",
    "country-not-known": "write a code of ISO 3166-1, such as BE",
    "country-uncertain": "settle the country, and write it without remarks",
    "date-ambiguous": "write the date as 2019-09-05",
    "date-contradicted": "correct eventDate, or year, month and day: they are of different days",
    "date-in-future": "correct the date",
    "date-not-read": "write the date as 2019-09-05",
    "date-over-months": "nothing: the month of the find is not known",
    "date-too-early": "correct the date",
    "date-without-month": "nothing, or give the month",
    "key-of-another-species": "correct the key, or leave it out",
    "language-not-known": "write a language tag, such as en or pt-BR",
    "licence-not-known": LICENCE_ADVICE,
    "position-not-read": "number the photos of an observation",
    "uncertainty-not-read": "give metres in coordinateUncertaintyInMeters",
    "uncertainty-without-place": "nothing, or give the coordinates",
}
"""Reasons for dropping a value of an accepted record."""

LISTED: Mapping[str, str] = {
    "homonym": "nothing, or import the photos of this name under the accepted one",
    "merged-species": "nothing; were it wrong, import a list that has both as accepted, and the photos again",
}
"""Remarks on accepted lines of a checklist."""

ASSUMED: Mapping[str, str] = {
    "author-is-recorder": "name the photo's author in creator",
    "date-without-day": "nothing: the first of the month stands for it",
    "name-in-wide-sense": "nothing: an aggregate is taken as its species",
    "name-of-hybrid": "nothing: a hybrid is taken as a species",
    "name-uncertain": "nothing: --uncertain was given",
}
"""Assumptions about accepted records; counted, not listed by line."""

ADVICE: Mapping[str, str] = {**REJECTED, **DROPPED, **LISTED, **ASSUMED}
