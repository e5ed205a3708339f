"""Who may do what: signers, logins, roles, waivers, break-glass, separation of duties."""
