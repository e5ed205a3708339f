"""The policy: strict YAML to typed rules, packs, waivers, and the judge."""
