"""Random values of the shapes that vendors issue, made at run time: no real secret, and none in this repository."""

from __future__ import annotations

import random
import string

LETTERS = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def text(rng: random.Random, length: int, alphabet: str = LETTERS) -> str:
    """Return so many random characters."""
    return "".join(rng.choice(alphabet) for _ in range(length))


def tokens(seed: int) -> dict[str, str]:
    """Return one value of each kind of token, by a name of its own."""
    rng = random.Random(seed)
    upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    return {
        "huggingface": "hf_" + text(rng, 34),
        "huggingface-org": "api_org_" + text(rng, 34),
        "anthropic": "sk-ant-api03-" + text(rng, 93),
        "openrouter": "sk-or-v1-" + text(rng, 64, HEX),
        "openai-project": "sk-proj-" + text(rng, 120),
        "openai": "sk-" + text(rng, 48),
        "openai-old": "sk-" + text(rng, 20) + "T3BlbkFJ" + text(rng, 20),
        "langfuse": "sk-lf-" + "-".join(text(rng, n, HEX) for n in (8, 4, 4, 4, 12)),
        "langsmith": "lsv2_pt_" + text(rng, 32, HEX) + "_" + text(rng, 10, HEX),
        "replicate": "r8_" + text(rng, 37),
        "groq": "gsk_" + text(rng, 52),
        "perplexity": "pplx-" + text(rng, 48),
        "nvidia": "nvapi-" + text(rng, 64),
        "pinecone": "pcsk_" + text(rng, 6) + "_" + text(rng, 62),
        "wandb": "wandb_v1_" + text(rng, 77),
        "databricks": "dapi" + text(rng, 32, HEX),
        "xai": "xai-" + text(rng, 80),
        "aws": "AKIA" + text(rng, 16, upper),
        "google": "AIza" + text(rng, 35),
        "google-oauth": "GOCSPX-" + text(rng, 28),
        "google-access": "ya29." + text(rng, 120),
        "azure-storage": "AccountKey=" + text(rng, 86) + "==",
        "azure-client": text(rng, 3) + "8Q~" + text(rng, 34),
        "github": "ghp_" + text(rng, 36),
        "github-fine": "github_pat_" + text(rng, 22) + "_" + text(rng, 59),
        "gitlab": "glpat-" + text(rng, 20),
        "slack": "xoxb-" + text(rng, 12, string.digits) + "-" + text(rng, 24),
        "slack-webhook": f"hooks.slack.com/services/T{text(rng, 8, upper)}/B{text(rng, 8, upper)}/{text(rng, 24)}",
        "pypi": "pypi-AgEIcHlwaS5vcmc" + text(rng, 120),
        "npm": "npm_" + text(rng, 36),
        "docker": "dckr_pat_" + text(rng, 27),
        "stripe": "sk_live_" + text(rng, 24),
        "sendgrid": "SG." + text(rng, 22) + "." + text(rng, 43),
        "neptune": "eyJhcGlfYWRkcmVzcyI6" + text(rng, 100),
    }


def private_key(seed: int) -> str:
    """Return a PEM block of a kind of private key whose body is random."""
    rng = random.Random(seed)
    body = "\n".join("MII" + text(rng, 61) for _ in range(12))
    return f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n"
