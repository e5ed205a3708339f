"""Shapes of secrets that are recognisable by themselves: vendor tokens, private keys, passwords in URLs.

One table for both uses: the `secrets` check searches for them, and whatever is printed or recorded has them taken out.
The forms are those that the vendors document or that their own leak scanners publish (GitHub "secret scanning
patterns", GitLab "secret detection rules"); a form without a mark of its own needs a word beside it and is not here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

MASK = "[masked]"


@dataclass(frozen=True, slots=True)
class SecretShape:
    """One kind of secret."""

    kind: str
    """Short name, such as `huggingface-token`."""
    anchors: tuple[str, ...]
    """Texts of which one stands in every secret of this kind."""
    pattern: str
    """Regular expression, the same for bytes and for text; a group `value` where it matches more than the secret."""


_ID = "[A-Za-z0-9_-]"
TOKENS = (
    SecretShape("huggingface-token", ("hf_",), r"hf_[A-Za-z0-9]{30,40}"),
    SecretShape("huggingface-token", ("api_org_",), r"api_org_[A-Za-z0-9]{30,40}"),
    SecretShape("anthropic-key", ("sk-ant-",), rf"sk-ant-[a-z]{{3,6}}\d\d-{_ID}{{60,120}}"),
    SecretShape("openrouter-key", ("sk-or-v1-",), r"sk-or-v1-[0-9a-f]{64}"),
    SecretShape("langfuse-key", ("sk-lf-",), r"sk-lf-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    SecretShape("openai-key", ("sk-",),
                rf"sk-(?:(?:proj|svcacct|admin)-{_ID}{{40,200}}|[A-Za-z0-9]{{48}}|[0-9a-f]{{32}})"),
    SecretShape("openai-key", ("T3BlbkFJ",), r"sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}"),
    SecretShape("langsmith-key", ("lsv2_",), r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}"),
    SecretShape("replicate-token", ("r8_",), r"r8_[A-Za-z0-9]{37}"),
    SecretShape("groq-key", ("gsk_",), r"gsk_[A-Za-z0-9]{48,56}"),
    SecretShape("perplexity-key", ("pplx-",), r"pplx-[A-Za-z0-9]{48}"),
    SecretShape("nvidia-key", ("nvapi-",), rf"nvapi-{_ID}{{60,70}}"),
    SecretShape("pinecone-key", ("pcsk_",), r"pcsk_[A-Za-z0-9]{5,8}_[A-Za-z0-9]{50,70}"),
    SecretShape("wandb-key", ("wandb_v1_",), r"wandb_v1_[A-Za-z0-9_]{40,100}"),
    SecretShape("neptune-token", ("eyJhcGlfYWRkcmVzcyI6",), r"eyJhcGlfYWRkcmVzcyI6[A-Za-z0-9+/_-]{40,400}={0,2}"),
    SecretShape("databricks-token", ("dapi",), r"dapi[0-9a-f]{32}(?:-\d)?"),
    SecretShape("xai-key", ("xai-",), r"xai-[A-Za-z0-9]{80}"),
    SecretShape("aws-key-id", ("AKIA", "ASIA"), r"(?:AKIA|ASIA)[A-Z2-7]{16}"),
    SecretShape("google-key", ("AIza",), rf"AIza{_ID}{{35}}"),
    SecretShape("google-oauth-secret", ("GOCSPX-",), rf"GOCSPX-{_ID}{{28}}"),
    SecretShape("google-access-token", ("ya29.",), rf"ya29\.{_ID}{{60,400}}"),
    SecretShape("azure-storage-key", ("AccountKey=",), r"AccountKey=(?P<value>[A-Za-z0-9+/]{86}==)"),
    SecretShape("azure-client-secret", ("Q~",), r"[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34}"),
    SecretShape("github-token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"gh[pousr]_[A-Za-z0-9]{36,255}"),
    SecretShape("github-token", ("github_pat_",), r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    SecretShape("gitlab-token", ("glpat-", "gldt-", "glrt-", "glptt-", "glcbt-"),
          r"gl(?:pat|dt|rt|ptt|cbt)-[A-Za-z0-9_.-]{20,64}"),
    SecretShape("slack-token", ("xox",), r"xox[abeoprs]-[0-9]{6,16}-[A-Za-z0-9-]{16,200}"),
    SecretShape("slack-webhook", ("hooks.slack.com/services/",),
          r"hooks\.slack\.com/services/(?P<value>T[A-Z0-9]{6,12}/B[A-Z0-9]{6,12}/[A-Za-z0-9]{20,30})"),
    SecretShape("pypi-token", ("pypi-AgE",), rf"pypi-AgE{_ID}{{50,300}}"),
    SecretShape("npm-token", ("npm_",), r"npm_[A-Za-z0-9]{36}"),
    SecretShape("docker-token", ("dckr_pat_",), rf"dckr_pat_{_ID}{{27}}"),
    SecretShape("stripe-key", ("_live_",), r"[sr]k_live_[A-Za-z0-9]{24,100}"),
    SecretShape("sendgrid-key", ("SG.",), rf"SG\.{_ID}{{22}}\.{_ID}{{43}}"),
)  # fmt: skip
"""Tokens that carry a mark of their vendor."""

PRIVATE_KEY = SecretShape(
    "private-key",
    ("PRIVATE KEY",),
    r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:\\[nr]|[\s\"'+,\\]){0,40}(?:[A-Za-z-]{3,20}: ?[^\n\\]{1,80}(?:\\[nr]|\s){1,4}){0,4}"
    r"(?P<value>[A-Za-z0-9+/]{40}(?:\\[nr]|[A-Za-z0-9+/=\s\"',\\]){0,16000})",
)
"""PEM, OpenSSH and PGP private keys with their body, also inside a JSON or Python string."""
ADDRESS = SecretShape(
    "password-in-url",
    ("://",),
    r"://[^\s/:@\"'<>{}$\\`|]{0,64}:(?P<value>[^\s/@\"'<>{}$\\`|]{3,128})@(?=[A-Za-z0-9\[])",
)
"""User and password in an address: databases, MLflow tracking servers, git."""
JWT = SecretShape("jwt", ("eyJ",), r"eyJ[A-Za-z0-9_-]{10,1000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{20,1000}")
"""A signed JSON Web Token (RFC 7519)."""
SHAPES = (*TOKENS, PRIVATE_KEY, ADDRESS, JWT)


@cache
def _masks() -> re.Pattern[str]:
    shapes = [re.sub(r"\(\?P<value>", "(?:", shape.pattern) for shape in SHAPES]
    # A text that was cut off at its limit may end inside a secret.
    anchors = "|".join(re.escape(anchor) for shape in (*TOKENS, PRIVATE_KEY, JWT) for anchor in shape.anchors)
    cut = [rf"(?:{anchors})[^\s…]*…", r"://[^\s/:@…]{0,64}:[^\s/@…]*…"]
    return re.compile("|".join([*shapes, *cut]))


def mask(text: str, by: str = MASK) -> str:
    """Return the text with another one in place of whatever has the shape of a secret, whole or cut off."""
    return _masks().sub(by, text)
