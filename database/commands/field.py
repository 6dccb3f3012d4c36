"""obscure, group, photos, rescore: what observations need of an administrator now and then."""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select

from database.field.models import FieldObservation, MorphologicalGroup, ObscuredTaxon
from database.field.photo_files import PhotoFiles
from database.field.records import missing, sweep
from database.field.verdicts import observations_named, settle, show_places_anew
from database.models import Taxon
from database.session import Database
from database.taxonomy.lineages import find_taxon


def register(commands: Any) -> None:
    """Add the commands to the parser."""
    obscuring = commands.add_parser("obscure", help="taxa whose places are shown as a grid cell only")
    verbs = obscuring.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, act in (("add", add_obscured), ("remove", remove_obscured)):
        one = verbs.add_parser(verb, help=f"{verb} a taxon with all below it")
        one.add_argument("name", metavar="NAME", help="a scientific name of the catalogue")
        one.set_defaults(func=act)
    verbs.add_parser("list", help="list the taxa").set_defaults(func=list_obscured)
    grouping = commands.add_parser("group", help="morphological groups, which a person's experience is counted by")
    verbs = grouping.add_subparsers(dest="verb", required=True, metavar="VERB")
    reading = verbs.add_parser("import", help="read a CSV table with the columns scientificName and group")
    reading.add_argument("path", type=Path, metavar="PATH")
    reading.set_defaults(func=import_groups)
    photos = commands.add_parser("photos", help="the photos of observations")
    verbs = photos.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("sweep", help="remove what killed requests left behind").set_defaults(func=sweep_photos)
    verbs.add_parser("check", help="list observations whose photos are not in the store").set_defaults(
        func=check_photos
    )
    rescoring = commands.add_parser("rescore", help="work every score out anew from what is known today")
    rescoring.set_defaults(func=rescore)


def add_obscured(options: argparse.Namespace, database: Database) -> int:
    """Hide the places of a taxon, those recorded long ago too."""
    with database.writing() as session:
        taxon = find_taxon(session, name=options.name)
        session.merge(ObscuredTaxon(taxon_id=taxon.id))
        session.flush()
        changed = show_places_anew(session, observations_named(session, taxon.id))
    print(f"{options.name}\tobscured, {changed} observations looked at")
    return 0


def remove_obscured(options: argparse.Namespace, database: Database) -> int:
    """Show the places of a taxon again, where nothing else hides them."""
    with database.writing() as session:
        taxon = find_taxon(session, name=options.name)
        session.execute(delete(ObscuredTaxon).where(ObscuredTaxon.taxon_id == taxon.id))
        changed = show_places_anew(session, observations_named(session, taxon.id))
    print(f"{options.name}\tno longer obscured, {changed} observations looked at")
    return 0


def list_obscured(_: argparse.Namespace, database: Database) -> int:
    """Print one line for each taxon."""
    with database.reading() as session:
        query = select(Taxon.scientific_name).join(ObscuredTaxon, ObscuredTaxon.taxon_id == Taxon.id)
        for name in session.scalars(query.order_by(Taxon.scientific_name)):
            print(name)
    return 0


def import_groups(options: argparse.Namespace, database: Database) -> int:
    """Replace all groups by those of a table; a genus in it stands for its species. Raises UnknownName."""
    with options.path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    with database.writing() as session:
        session.execute(delete(MorphologicalGroup))
        for row in rows:
            taxon = find_taxon(session, name=row.get("scientificName") or "")
            session.merge(MorphologicalGroup(taxon_id=taxon.id, name=(row.get("group") or "")[:64]))
    print(f"{len(rows)} taxa in {len({row.get('group') for row in rows})} groups")
    return 0


def sweep_photos(options: argparse.Namespace, database: Database) -> int:
    """Remove photos that no observation shows, an hour after they were written."""
    removed = sweep(database, PhotoFiles(options.photos_at))
    print(f"{len(removed)} files removed")
    return 0


def check_photos(options: argparse.Namespace, database: Database) -> int:
    """Print one line for each photo that is shown and not there; end with 1 where there are any."""
    gone = missing(database, PhotoFiles(options.photos_at))
    for key, sha256 in gone:
        print(f"{key}\t{sha256}")
    return 1 if gone else 0


def rescore(_: argparse.Namespace, database: Database) -> int:
    """Work out every score anew, the oldest observation first, each in a transaction of its own."""
    with database.reading() as session:
        ids = session.scalars(select(FieldObservation.id).order_by(FieldObservation.id)).all()
    for number, one in enumerate(ids, start=1):
        with database.writing() as session:
            observation = session.get(FieldObservation, one)
            if observation is not None:
                settle(session, observation)
        if number % 1000 == 0:
            print(f"{number} of {len(ids)}", file=sys.stderr)
    print(f"{len(ids)} observations scored anew")
    return 0
