"""Static checks. They read frozen bytes, never import the frameworks whose files they read, and never run anything."""
