// Shared-library step, right before a deployment: ztAdmit target: 'model', summary: 'summary.json', key: '/etc/zt-gate/gate.pub'
// Hashes the bytes that are about to be deployed and verifies the signed verdict over them; fails the stage otherwise.
def call(Map given) {
    withEnv(["ZT_TARGET=${given.target}", "ZT_SUMMARY=${given.summary}", "ZT_KEY=${given.key}",
             "ZT_STAGE=${given.stage ?: 'production'}", 'NO_COLOR=1', 'PYTHONPATH=']) {
        sh(label: 'zt-gate admit',
           script: 'zt-gate admit --summary="$ZT_SUMMARY" --key="$ZT_KEY" --stage="$ZT_STAGE" -- "$ZT_TARGET"')
    }
}
