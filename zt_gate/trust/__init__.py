"""Who said what about which digest: keys, envelopes, Sigstore bundles, in-toto statements.

Nothing is believed here because of where it lies or how it was made. A statement counts when a signer that the
policy names signed it, and when it names the subject's digest.
"""
