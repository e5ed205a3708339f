"""Honest pipelines of the three systems, in the shapes that their documentation uses."""

SHA = "08c6903cd8c0fde910a37f88322edcfb5dd907a8"
CHECKOUT = f"actions/checkout@{SHA}"
IMAGE = "python@sha256:" + "4f" * 32

GITHUB = f"""
name: release
on: {{push: {{branches: [main]}}}}
permissions: {{contents: read}}
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: {CHECKOUT}
      - run: make model
  gate:
    needs: build
    runs-on: ubuntu-latest
    steps:
      - uses: {CHECKOUT}
      - run: |
          pip install zt-gate==0.2.0
          zt-gate check model --policy zt-gate.yaml --out report
  notify:
    needs: gate
    runs-on: ubuntu-latest
    steps: [{{run: echo done}}]
  deploy:
    needs: [notify]
    runs-on: ubuntu-latest
    environment: production
    steps: [{{run: kubectl apply -f k8s}}]
"""
GITLAB = f"""
stages: [build, gate, deploy]
default: {{image: "{IMAGE}"}}
build: {{stage: build, script: [make model]}}
gate:
  stage: gate
  script:
    - git show origin/main:zt-gate.yaml > base.yaml
    - zt-gate check model --policy base.yaml --out report
deploy:
  stage: deploy
  environment: production
  script: kubectl apply -f k8s
"""
JENKINS = f"""
@Library('zt-gate@{SHA}') _
pipeline {{
    agent none
    options {{ timeout(time: 30, unit: 'MINUTES') }}
    stages {{
        stage('build') {{
            agent {{ label 'linux' }}
            steps {{ sh 'make model' }}
        }}
        stage('gate') {{
            agent {{ label 'linux' }}
            steps {{ ztGate target: 'model', policy: '/etc/zt-gate/policy.yaml' }}
        }}
        stage('deploy') {{
            when {{ branch 'main' }}
            agent any
            steps {{
                sh '''
                  zt-gate admit model --summary out/summary.json --key /etc/zt-gate/gate.pub
                  kubectl apply -f k8s
                '''
            }}
        }}
    }}
}}
"""
WORKFLOW, GITLAB_FILE, JENKINSFILE = ".github/workflows/release.yml", ".gitlab-ci.yml", "Jenkinsfile"
HONEST = {"github": (WORKFLOW, GITHUB), "gitlab": (GITLAB_FILE, GITLAB), "jenkins": (JENKINSFILE, JENKINS)}
"""Pipelines in which no rule may fire, with the file that each stands in."""
