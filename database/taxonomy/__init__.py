"""Taxa, checklists, regions and floras."""
