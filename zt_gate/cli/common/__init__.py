"""What several verbs share: the screen, files, signers, the audit log, and the walk from check to report."""
