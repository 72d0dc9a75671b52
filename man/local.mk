# To add a page: put its name in this list.
