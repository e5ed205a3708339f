"""The bucket policy that keeps everybody but the gate from writing below the root of sealed copies."""

from __future__ import annotations

import json
import re

from zt_gate.domain import printable
from zt_gate.errors import UsageError
from zt_gate.intake.places.s3_client import Location
from zt_gate.intake.sealed.bucket_probe import FOLDER
from zt_gate.intake.sealed.place import PREFIX

_ARN = re.compile(r"arn:aws[a-z-]*:iam::[^:\s]+:(role|user)/\S+\Z")


def bucket_policy(location: Location, role: str = "arn:aws:iam::ACCOUNT:role/ROLE-OF-THE-GATE") -> str:
    """Return a policy for `aws s3api put-bucket-policy`, which only denies: rights are given elsewhere.

    Without it the pins still tell that a copy was touched. With it nobody can touch one.

    Args:
        location: where copies are sealed.
        role: the ARN of the role or user that the gate runs as.

    Raises:
        UsageError: that is no ARN.
    """
    if not _ARN.match(role):
        raise UsageError(
            f"{printable(role, 120)} is not the ARN of a role or user", "see `aws sts get-caller-identity`"
        )
    # aws, aws-cn or aws-us-gov: a bucket lies in the partition of whoever writes to it.
    bucket = f"arn:{role.split(':')[1]}:s3:::{location.bucket}"
    copies = f"{bucket}/{location.key(PREFIX)}*"
    statements: list[dict[str, object]] = [
        {
            "Sid": "OnlyTheGateWrites",
            "Action": "s3:PutObject",
            "Resource": [copies, f"{bucket}/{location.key(FOLDER)}/*"],
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": role}},
        },
        {
            "Sid": "NothingIsReplaced",
            "Action": "s3:PutObject",
            "Resource": copies,
            # Requests that only begin an upload or carry a part of it cannot have the header.
            "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
        },
        {
            "Sid": "NothingIsDeleted",
            "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"],
            "Resource": copies,
        },
    ]
    full = [{"Effect": "Deny", "Principal": "*", **statement} for statement in statements]
    return json.dumps({"Version": "2012-10-17", "Statement": full}, indent=2)
