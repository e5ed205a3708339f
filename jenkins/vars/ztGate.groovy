// Shared-library step: ztGate target: 'model', policy: '/etc/zt-gate/policy.yaml'
// Values travel in the environment and the script is single-quoted, so that no name of a file becomes a command.
// PYTHONPATH is empty: no module of the workspace takes the place of one of the gate's.
// Reports are kept before the stage fails. Returns the values of zt-gate.env for a release that is allowed.
def call(Map given = [:]) {
    String target = given.target ?: error('ztGate: say what to check, ztGate target: MODEL')
    String out = given.out ?: 'zt-gate-report'
    int code = 2
    withEnv(["ZT_TARGET=${target}", "ZT_OUT=${out}", "ZT_POLICY=${given.policy ?: 'pack:baseline'}",
             "ZT_POLICY_KEY=${given.policyKey ?: ''}", "ZT_STAGE=${given.stage ?: 'production'}",
             "ZT_EVIDENCE=${given.evidence ?: ''}", "ZT_AUDIT_LOG=${given.auditLog ?: ''}",
             "ZT_SUMMARY=${given.summary ?: ''}", "ZT_SUMMARY_KEY=${given.summaryKey ?: ''}", 'NO_COLOR=1', 'PYTHONPATH=']) {
        code = sh(label: 'zt-gate', returnStatus: true, script: '''
            set -- --stage="$ZT_STAGE" --policy="$ZT_POLICY" --out="$ZT_OUT"
            if [ -n "$ZT_POLICY_KEY" ]; then set -- "$@" --policy-key="$ZT_POLICY_KEY"; fi
            if [ -n "$ZT_EVIDENCE" ]; then set -- "$@" --evidence="$ZT_EVIDENCE"; fi
            if [ -n "$ZT_AUDIT_LOG" ]; then set -- "$@" --audit-log="$ZT_AUDIT_LOG"; fi
            if [ -n "$ZT_SUMMARY" ]; then set -- "$@" --summary="$ZT_SUMMARY" --summary-key="$ZT_SUMMARY_KEY"; fi
            zt-gate ci jenkins --dotenv "$ZT_OUT/zt-gate.env" -- check "$@" -- "$ZT_TARGET"
        ''')
    }
    archiveArtifacts(artifacts: "${out}/**", allowEmptyArchive: true, fingerprint: true)
    junit(testResults: "${out}/junit.xml", allowEmptyResults: true, skipMarkingBuildUnstable: true)
    recordIssues(enabledForFailure: true, tools: [sarif(pattern: "${out}/report.sarif", id: 'zt-gate', name: 'zt-gate')])
    if (code == 1) { error("zt-gate: BLOCK ${target}; the reports say why") }
    if (code != 0) { error("zt-gate: could not decide about ${target} (exit ${code}), so nothing is promoted") }
    return readProperties(file: "${out}/zt-gate.env")
}
