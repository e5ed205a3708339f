"""Where targets lie, and how they get from there into a private folder: object stores."""
