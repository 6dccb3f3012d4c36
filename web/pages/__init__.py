"""The pages for people: each noun a module of routes, all of one blueprint, over the templates in `web/templates`."""
