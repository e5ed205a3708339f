"""What tests share: releases, policies, a private Sigstore."""
