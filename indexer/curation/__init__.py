"""From a record to a curated record or a rejection: names, licences, places, checklists."""
