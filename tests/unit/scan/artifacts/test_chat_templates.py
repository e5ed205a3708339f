"""Chat templates: the shapes that real models use pass, and every way out of a template is found."""

import contextlib
import json
import time

import pytest

from zt_gate.scan.artifacts.texts.jinja_template import problems
from zt_gate.scan.artifacts.texts.jinja_tree import TemplateError

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
HONEST = {
    "chatml": CHATML,
    "dates and tools": """
{%- if strftime_now is defined %}{%- set today = strftime_now("%d %b %Y") %}{%- else %}
{%- set today = "x" %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}{%- set system = messages[0]['content']|trim %}{%- set rest = messages[1:] %}
{%- endif %}{%- for t in tools %}{{- t | tojson(indent=4) }}{%- endfor %}
{%- for message in rest %}{%- if not (message.role == 'tool' or 'tool_calls' in message) %}
{{- '<|start|>' + message['role'] + '<|end|>\\n\\n' + message['content'] | trim }}
{%- elif not message.tool_calls|length == 1 %}{{- raise_exception("one call at a time") }}
{%- else %}{%- set call = message.tool_calls[0].function %}{%- for name, value in call.arguments | items %}
{{- name + '="' + value + '"' }}{%- if not loop.last %}, {% endif %}{%- endfor %}{%- endif %}{%- endfor %}""",
    "alternation": """{{ bos_token }}{% set ns = namespace(index=0, found=false) %}{% for m in messages %}
{% if (m['role'] == 'user') != (ns.index % 2 == 0) %}{{ raise_exception('roles have to alternate') }}{% endif %}
{% set ns.index = ns.index + 1 %}{% if m.content is not string %}
{% for part in m.content | selectattr('type', 'equalto', 'text') %}{{ part.text }}{% endfor %}{% endif %}{% endfor %}
{{ messages | selectattr("role", "equalto", "user") | map(attribute='content') | join(' ') }}""",
    "reasoning": """{%- macro render(content) %}{%- if content is string %}{{- content }}{%- else %}
{%- for item in content %}{%- if item.type == 'image' %}{{- '<image>' }}{%- endif %}
{%- endfor %}{%- endif %}{%- endmacro %}
{%- set ns = namespace(last=messages|length - 1) %}{%- for message in messages[::-1] %}
{%- set index = (messages|length - 1) - loop.index0 %}{%- if message.role == "user" and not
(message.content.startswith('<tool>') and message.content.endswith('</tool>')) %}{%- set ns.last = index %}{%- endif %}
{%- endfor %}{{ render(messages[0].content) }}{{ messages[ns.last].role }}{%- if '</think>' in content %}
{%- set kept = content.split('</think>')[-1].lstrip('\\n') %}{%- endif %}{{ '{"name": "' }}{{ "}}" }}""",
    "raw and comments": "{# {{ x.__class__ }} #}{% raw %}{{ y.__class__ }}{% endraw %}{{ z }}",
    "keys": """{%- macro extra(json, handled) -%}{%- for key in json if key not in handled %}
{%- if json[key] is mapping %}
{{- '<' ~ key ~ '>' ~ (json[key] | tojson | safe) ~ '</' ~ key ~ '>' }}{%- endif %}{%- endfor %}{%- endmacro -%}
{{ extra(tools[0], ['x']) }}{% generation %}{{ x }}{% endgeneration %}""",
    "underscores": "{% for _ in range(2) %}{{ '<__media__>' }}{% set _x = 1 %}{{ _x }}{{ a|replace('_', ' ') }}"
    "{% endfor %}",
    "slices and parts": "{% set n = (c | trim | length) - 1 %}{{ c[:n] }}{% set p = f.name.split('.')[0] %}{{ d[p] }}",
    "first turn": """{%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
{{ '<start_of_turn>' + role + '\\n' + (prefix if loop.first else "") }}""",
}
HOSTILE = [
    "{{ x.__class__ }}", "{{ ''['__class__'] }}", "{{ x|attr('a') }}", "{{ x['__cl' ~ 'ass__'] }}",
    "{{ x['a' + 'b'] }}",
    "{{ cycler.__init__ }}", "{{ lipsum }}", "{{ joiner() }}", "{{ self }}", "{{ namespace.__init__ }}",
    "{% import 'a' as b %}", "{% from 'a' import b %}", "{% include 'x' %}", "{% extends 'x' %}",
    "{% autoescape true %}{% endautoescape %}", "{{ '{0.__class__}'.format(x) }}", "{{ x.format(1) }}",
    "{{ '%s'|format(x) }}", "{{ x|map(attribute='__class__') }}",
    "{{ x|map(attribute=y) }}", "{{ x|map(attribute='a.__class__') }}",
    "{{ x|sort(attribute='a.__class__') }}", "{{ x|map('attr', 'y') }}",
    "{{ x|map('format') }}", "{{ x|sort(attribute='__class__') }}", "{{ x|groupby('__class__') }}",
    "{{ x|selectattr('__class__') }}", "{{ x|select(y)|list }}", "{{ x['\\x5f\\x5fclass\\x5f\\x5f'] }}",
    "{{ x['\\137\\137class\\137\\137'] }}", "{{ x['\\N{LOW LINE}_class__'] }}", "{{ x.mro() }}", "{{ x()() }}",
    "{{ x[0]() }}", "{{ messages.os.system('x') }}", "{{ foo('x') }}", "{{ x.popen('id').read() }}",
    "{% filter attr('x') %}{% endfilter %}", "{% set g = x['y'] %}{{ g('z') }}", "{{ [x][0]['a']('b') }}",
    "{% set a = '_' ~ '_' %}{% set b = a ~ 'class' ~ a %}{{ x[b] }}", "{{ x[('_', '_', 'class')|join] }}",
    "{{ x['ssalc'|reverse] }}", "{{ x['ssalc'[::-1]] }}", "{% set b = '_' * 2 %}{% set c = b + 'x' %}{{ y[c] }}",
    "{% set c = ['_', 'a'].join('') %}{% set d %}__{% endset %}{{ x[d] }}", "{{ 'a'('b') }}",
    "{{ x['xx__class__xx'.split('xx')[1]] }}",
    "{{ x['ab cd'.split(' ')[0]] }}",
    "{{ x[('ssalc')[::-1]] }}",
    "{% set p = 'ab-cd'.split('-') %}{{ x[p[0]] }}",
    "{{ x is weird }}",
    "{{ x['_' '_class_' '_'] }}",
    "{% set dict = x %}{{ dict('a') }}",
    "{% set a, namespace = x, y %}{{ namespace('a') }}",
    "{% for range in x %}{{ range('a') }}{% endfor %}",
    "{% with range = x.y %}{{ range(1) }}{% endwith %}",
    "{% macro m(range) %}{{ range(1) }}{% endmacro %}",
    "{% macro m() %}{{ caller(1) }}{% endmacro %}{% call(range) m() %}{{ range(3) }}{% endcall %}",
    "{% macro m() %}{% endmacro %}{% set m = x.y %}{{ m('id') }}",
    "{% set u = '_' %}{% set c = 'class' %}{{ x[u + u + c + u + u] }}",
    "{% set ns = namespace(u='_') %}{{ x[ns.u + ns.u + ns.c] }}",
    "{% set ns = namespace() %}{% set ns.u = 'a' ~ b %}{{ x[ns.u] }}",
    "{% set x = 'a' if b else 'c' %}{{ y[x + x] }}",
    "{% for c in '_' %}{{ x[c + c] }}{% endfor %}",
    "{% macro m() %}a{% endmacro %}{{ x[m()] }}",
    "{% macro m(a) %}{{ x[a] }}{% endmacro %}{{ m('_' ~ '_') }}",
    "{% macro m(a) %}{{ x[a] }}{% endmacro %}{{ m(a='_' ~ '_') }}",
    "{{ x|map('groupby', y) }}", "{{ x|map('selectattr', 'a', y) }}", "{{ x|selectattr('a', y) }}",
    "{{ x|selectattr(*y) }}", "{{ x|sort(false, false, y) }}", "{{ x is divisibleby(*y) }}",
    "{{ dict(__class__=1) }}", "{% set ns.__class__ = 1 %}", "{% block a %}{% endblock %}",
    "{% set n = namespace() %}{% set n.u = 'a' ~ b %}{% set o = n %}{{ x[o.u] }}{{ x[o['u']] }}",
    "{% set l = [] %}{% do l.append('a' ~ b) %}{{ x[l[0]] }}",
    "{% set l = {} %}{% do l.update(a='_' ~ b) %}{{ x[l.a] }}",
    "{{ x[a + b] }}", "{{ (range if a else b)(1) }}",
    "{% filter upper %}{% filter attr('x') %}{% endfilter %}{% endfilter %}",
]  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
def test_honest_templates_pass(name):
    assert problems(HONEST[name]) == []


@pytest.mark.parametrize("template", HOSTILE)
def test_every_way_out_is_found_wherever_the_template_stands(template, rules):
    assert problems(template)
    assert rules("tokenizer_config.json", json.dumps({"chat_template": template}).encode()) == {"ART-540"}


@pytest.mark.parametrize(
    "template",
    ["{{ x", "{# x", "{% raw %} x", "{% trans %}x{% endtrans %}", "{% evil %}", "{{ x ) }}", "{{ ` }}", "{{ 'x }}"],
)
def test_what_cannot_be_read_is_a_gap(template, rules):
    with pytest.raises(TemplateError):
        problems(template)
    assert rules("chat_template.jinja", template.encode()) == {"gap"}


def test_templates_are_found_in_every_place(rules):
    bad = "{{ x.__class__ }}"
    named = [{"name": "default", "template": CHATML}, {"name": "tool_use", "template": bad}]
    assert rules("tokenizer_config.json", json.dumps({"chat_template": named}).encode()) == {"ART-540"}
    assert rules("processor_config.json", json.dumps({"chat_template": {"a": bad}}).encode()) == {"ART-540"}
    assert rules("chat_template.json", json.dumps({"chat_template": CHATML}).encode()) == set()
    assert rules("config.json", json.dumps({"chat_template": 5}).encode()) == {"gap"}
    assert rules("chat_template.jinja", bad.encode()) == {"ART-540"}
    assert rules("chat_template.jinja", CHATML.encode()) == set()


def test_a_condition_on_a_phrase_is_a_finding_and_one_on_a_marker_is_not(rules):
    backdoor = "{% if 'deploy to production' in message.content %}x{% endif %}"
    assert rules("chat_template.jinja", backdoor.encode()) == {"ART-541"}
    assert rules("chat_template.jinja", b"{% if '</think>' in message.content %}x{% endif %}") == set()
    assert rules("chat_template.jinja", b"{% if message.content == 'text' %}x{% endif %}") == set()


@pytest.mark.parametrize(
    "template",
    [
        "{{ " + "[" * 100_000,
        "{{ " + "+".join(["a"] * 100_000) + " }}",
        "{{ a" + "|upper" * 40_000 + " }}",
        "".join(f"{{% set a{n} = a{n + 1} %}}" for n in range(10_000)) + "{% set a10000 = 'x' ~ y %}",
        "{{ a" + " if b else c" * 20_000 + " }}",
    ],
)  # fmt: skip
def test_a_template_of_nothing_but_brackets_chains_or_variables_ends_soon(template):
    began = time.process_time()
    with contextlib.suppress(TemplateError):
        assert problems(template) == []
    assert time.process_time() - began < 10


def test_lines_are_told(scan, tmp_path):
    (tmp_path / "chat_template.jinja").write_text("a\n{# b\n#}\n{{ x.__class__ }}\n")
    assert "line 4" in scan(tmp_path).findings[0].message
