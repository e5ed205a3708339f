// Says for each bundle whether an implementation of Sigstore that shares no code with ours verifies it.
// Usage: node verify.js FOLDER-WITH-node_modules REQUEST.json, where the request is
// {"root": TRUSTED_ROOT, "cases": [{"bundle": BUNDLE, "artifact": BASE64 or null, "subject": NAME, "issuer": URL}]}.
// Prints a JSON list, an entry per case: "verified", or the reason why not.
const fs = require("fs");
const path = require("path");
const [modules, file] = process.argv.slice(2);
const load = (name) => require(path.join(path.resolve(modules), "node_modules", name));
const { bundleFromJSON } = load("@sigstore/bundle");
const { TrustedRoot } = load("@sigstore/protobuf-specs");
const { Verifier, toSignedEntity, toTrustMaterial } = load("@sigstore/verify");

const request = JSON.parse(fs.readFileSync(file));
const material = toTrustMaterial(TrustedRoot.fromJSON(request.root));

const verdict = ({ bundle, artifact, subject, issuer }) => {
  try {
    const timed = bundle.verificationMaterial.timestampVerificationData ? 1 : 0;
    const verifier = new Verifier(material, { ctlogThreshold: 1, tlogThreshold: 1, tsaThreshold: timed });
    const bytes = artifact === null ? undefined : Buffer.from(artifact, "base64");
    const policy = { subjectAlternativeName: subject, extensions: { issuer } };
    verifier.verify(toSignedEntity(bundleFromJSON(bundle), bytes), policy);
    return "verified";
  } catch (error) {
    return `${error.code || error.name}: ${error.message}`;
  }
};

console.log(JSON.stringify(request.cases.map(verdict)));
