"""What GitHub code scanning asks of a SARIF file, from docs.github.com, "SARIF support for code scanning" (2026)."""

import gzip
import json
import re

_MAX_GZIP = 10 * 1024 * 1024


def problems(value):
    """Return what GitHub would refuse, drop or cut, one line each."""
    found = []
    if len(gzip.compress(json.dumps(value).encode())) > _MAX_GZIP:
        found.append("larger than 10 MB when compressed")
    if value["version"] != "2.1.0" or len(value["runs"]) > 20:
        found.append("not 2.1.0, or more than 20 runs")
    for run in value["runs"]:
        found += _rules(run) + _results(run)
        if not re.fullmatch(r"zt-gate/.+/", run["automationDetails"]["id"]):
            found.append("no category")
    return found


def _rules(run):
    found = []
    for rule in run["tool"]["driver"]["rules"]:
        tags, score = rule["properties"]["tags"], rule["properties"]["security-severity"]
        if len(tags) > 10:
            found.append(f"{rule['id']}: more than 10 tags")
        if "security" not in tags or not isinstance(score, str) or not 0 <= float(score) <= 10:
            found.append(f"{rule['id']}: no severity that counts")
        if not all(rule[name]["text"] for name in ("shortDescription", "fullDescription", "help")):
            found.append(f"{rule['id']}: nothing to read")
    return found


def _results(run):
    found = []
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    if len(run["results"]) > 5000:
        found.append("more than 5,000 results")
    prints = []
    for number, result in enumerate(run["results"]):
        if ids[result["ruleIndex"]] != result["ruleId"]:
            found.append(f"result {number}: unknown rule")
        if not 1 <= len(result["locations"]) <= 100:
            found.append(f"result {number}: no location")
        place = result["locations"][0]["physicalLocation"]
        uri = place["artifactLocation"]["uri"]
        if uri.startswith("/") or "\\" in uri or "://" in uri or place["region"]["startLine"] < 1:
            found.append(f"result {number}: odd place {uri}")
        prints.append((result["ruleId"], uri, result["partialFingerprints"]["primaryLocationLineHash"]))
    if len(set(prints)) != len(prints):
        found.append("two results would be one alert")
    return found
