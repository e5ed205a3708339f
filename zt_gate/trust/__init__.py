"""Verification of signed statements: keys, DSSE envelopes, Sigstore bundles, in-toto statements.

A statement counts only if a signer named in the policy signed it and it names the subject's digest. Where the file
lies, who delivered it and which tool wrote it make no difference.
"""
