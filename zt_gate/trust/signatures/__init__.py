"""Keys, certificates, envelopes and bundles: is this signature valid, and whose is it?"""
