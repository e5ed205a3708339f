// Runs declarative Jenkinsfiles with the steps of jenkins/vars, recorded, and a real shell behind `sh`.
// Not covered: CPS, the sandbox, serialisation, and what real plugins do with what they are given.
// Arguments: the folder of the steps, then one folder for each Jenkinsfile, which is also its workspace.
import org.codehaus.groovy.control.CompilerConfiguration

class Run extends Script {
  static String steps
  static File workspace
  static List calls
  static Map failed
  static List variables

  Object run() { null }

  def note(name, value) { calls << [name, value] }
  def inside(Closure body) { body.delegate = this; body.resolveStrategy = Closure.DELEGATE_FIRST; body() }
  def pipeline(Closure body) { inside(body) }
  def stages(Closure body) { inside(body) }
  def steps(Closure body) { inside(body) }
  def options(Closure body) { }
  def agent(Object what) { }
  def when(Closure body) { }
  def getAny() { 'any' }
  def getNone() { 'none' }

  def stage(String name, Closure body) {
    if (failed) { note('skipped', name); return }
    note('stage', name)
    try { inside(body) } catch (Exception error) { failed[name] = error.message; note('failed', name) }
  }

  def withEnv(List more, Closure body) {
    variables.addAll(more)
    try { inside(body) } finally { more.each { variables.remove(variables.lastIndexOf(it)) } }
  }

  def sh(Map given) {
    def builder = new ProcessBuilder('sh', '-xe', '-c', given.script as String).directory(workspace)
    variables.each { def (name, value) = (it as String).split('=', 2); builder.environment()[name as String] = value as String }
    builder.redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.appendTo(new File(workspace, 'console.log')))
    int code = builder.start().waitFor()
    note('sh', code)
    if (given.returnStatus) { return code }
    if (code) { error("script returned exit code $code") }
  }
  def sh(String script) { sh([script: script]) }
  def error(String message) { throw new RuntimeException(message) }
  def archiveArtifacts(Map given) { note('archiveArtifacts', new File(workspace, 'zt-gate-report/report.json').exists()) }
  def junit(Map given) { note('junit', new File(workspace, given.testResults as String).exists()) }
  def sarif(Map given) { given }
  def recordIssues(Map given) { note('recordIssues', new File(workspace, given.tools[0].pattern as String).exists()) }
  def readProperties(Map given) { def p = new Properties(); new File(workspace, given.file as String).withReader { p.load(it) }; p }

  def methodMissing(String name, arguments) {
    def source = new File(steps, "${name}.groovy")
    if (!source.exists()) { throw new MissingMethodException(name, Run, arguments as Object[]) }
    new GroovyShell(Run.classLoader, new Binding(), configuration()).parse(source).call(*arguments)
  }
  static configuration() { new CompilerConfiguration(scriptBaseClass: 'Run') }
}

def results = []
Run.steps = args[0]
args.drop(1).each { folder ->
  Run.workspace = new File(folder)
  Run.calls = []; Run.failed = [:]; Run.variables = []
  def text = new File(folder, 'Jenkinsfile').text.replaceAll(/(?m)^@Library.*$/, '')
  new GroovyShell(Run.classLoader, new Binding(), Run.configuration()).evaluate(text)
  results << [folder: folder, failed: Run.failed, calls: Run.calls]
}
println groovy.json.JsonOutput.toJson(results)
