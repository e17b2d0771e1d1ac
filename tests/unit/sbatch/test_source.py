"""Reading YAML and JSON: positions, strictness, and the exact sentences of errors."""

from __future__ import annotations

import json

import pytest

from dsq.core.errors import WorkflowError
from dsq.sbatch.workflow import InvalidWorkflow, load_workflow
from tests.unit.sbatch.builders import job, run

GOOD = """\
resources: {tasks: 1, cpusPerTask: 1, memPerCpu: 200, gpus: 0}
"""


def sentences(text: str | bytes) -> list[str]:
    """What is said about ``text``, one sentence a problem."""
    with pytest.raises(InvalidWorkflow) as caught:
        load_workflow(text, source="job.yaml")
    assert isinstance(caught.value, WorkflowError)
    assert caught.value.exit_code == 65
    assert caught.value.message.startswith("job.yaml is not valid: ")
    return list(caught.value.problems)


SENTENCES = [
    (
        GOOD + "steps:\n  - run:\n      comand: echo\n",
        "line 4, column 7: unknown field 'comand' in steps[0].run (did you mean 'command'?)",
    ),
    (
        GOOD + "step: []\n",
        "line 2, column 1: unknown field 'step' in the job (did you mean 'steps' or 'sweep'?)",
    ),
    (
        GOOD + "steps:\n  - network: pasta\n",
        "line 3, column 5: unknown field 'network' in steps[0] (did you mean 'run.network'?)",
    ),
    (
        GOOD + "steps: []\nzzz: 1\n",
        "line 3, column 1: unknown field 'zzz' in the job",
    ),
    (GOOD, "line 1, column 1: field 'steps' is missing in the job"),
    (
        GOOD + "steps:\n  - run:\n      shell: /bin/sh\n",
        "line 4, column 7: field 'command' is missing in steps[0].run",
    ),
    (
        GOOD.replace("tasks: 1", "tasks: -2") + "steps: []\n",
        "line 1, column 20: resources.tasks must be 1 or more, not -2",
    ),
    (
        GOOD.replace("gpus: 0", "gpus: -1") + "steps: []\n",
        "line 1, column 61: resources.gpus must be 0 or more, not -1",
    ),
    (
        GOOD.replace("tasks: 1", "tasks: two") + "steps: []\n",
        "line 1, column 20: resources.tasks must be a whole number, not the text 'two'",
    ),
    (
        GOOD.replace("tasks: 1", "tasks: '2'") + "steps: []\n",
        "line 1, column 20: resources.tasks must be a whole number, not the text '2' "
        "(leave out the quotes)",
    ),
    (
        GOOD + "inputMode: 0755\nsteps: []\n",
        "line 2, column 12: inputMode must be a whole number, not the text '0755' "
        "(leave out the leading zero)",
    ),
    (
        GOOD.replace("tasks: 1", "tasks: 1.5") + "steps: []\n",
        "line 1, column 20: resources.tasks must be a whole number, not the number 1.5",
    ),
    (
        GOOD + "enableLogging: yes\nsteps: []\n",
        "line 2, column 16: enableLogging must be true or false, not the text 'yes' (write true)",
    ),
    (
        GOOD + "enableLogging: 'off'\nsteps: []\n",
        "line 2, column 16: enableLogging must be true or false, not the text 'off' (write false)",
    ),
    (
        GOOD + "steps:\n  - name: 12\n",
        "line 3, column 11: steps[0].name must be a text, not the number 12 (put it in quotes)",
    ),
    (
        GOOD + "steps:\n  - name: true\n",
        "line 3, column 11: steps[0].name must be a text, not true (put it in quotes)",
    ),
    (
        GOOD + "steps:\n  run: {command: x}\n",
        "line 3, column 3: steps must be a list, not a mapping (begin each element with '- ')",
    ),
    (
        GOOD + "steps:\n  - run: echo\n",
        "line 3, column 10: steps[0].run must be a mapping of fields, not the text 'echo'",
    ),
    (GOOD + "steps:\n", "line 2, column 7: steps must not be null"),
    (GOOD + "steps:\n  -\n", "line 3, column 4: steps[0] must not be null"),
    (
        GOOD + "steps:\n  - run: {command: x, shell: /bin/bahs}\n",
        "line 3, column 30: steps[0].run.shell must be '/bin/bash', '/bin/ash', '/bin/sh' or "
        "'ENTRYPOINT', not '/bin/bahs' (did you mean '/bin/bash' or '/bin/ash' or '/bin/sh'?)",
    ),
    (
        GOOD + "steps:\n  - name: a\n    steps: [{name: b}]\n    run: {command: c}\n",
        "line 5, column 10: steps[0] has both 'steps' and 'run': a step does one thing",
    ),
    (
        GOOD + "steps:\n  - launch: {handleName: server, steps: []}\n  - dependsOn: [serve]\n",
        "line 4, column 17: steps[1] depends on 'serve', but no launch has this handleName "
        "(did you mean 'server'?)",
    ),
    (
        GOOD
        + "steps:\n  - for: {parallel: false, items: [a], range: {begin: 1, end: 2}, steps: []}\n",
        "line 3, column 35: steps[0].for has both 'range' and 'items': a loop has one of them",
    ),
    (
        GOOD + "steps:\n  - for: {parallel: false, steps: []}\n",
        "line 3, column 10: steps[0].for has neither 'range' nor 'items', so it would never run",
    ),
    (
        GOOD + 'steps:\n  - run: {command: "a \'b", shell: ENTRYPOINT, container: {image: i}}\n',
        "line 3, column 20: steps[0].run.command has a quote that is not closed",
    ),
    (
        "resources: [1\nsteps: []\n",
        "line 2, column 6: the YAML does not parse: did not find expected ',' or ']'",
    ),
    (
        "resources:\n\ttasks: 1\n",
        "line 2, column 1: the YAML does not parse: a tab stands where only blanks may indent",
    ),
    (
        "steps: a: b\n",
        "line 1, column 9: the YAML does not parse: mapping values are not allowed in this context",
    ),
    ('steps: "a\n', "line 2, column 1: the YAML does not parse: found unexpected end of stream"),
    ("a: \x07\n", "line 1, column 4: the YAML does not parse: character U+0007 is not allowed"),
    (b"steps: []\na: \xff\n", "line 2, column 4: the file is not UTF-8 text"),
    (
        "steps: []\nsteps: []\n",
        "line 2, column 1: the field 'steps' is given twice (first in line 1)",
    ),
    ("a: 1\n---\nb: 2\n", "line 2, column 1: only one document is allowed in the file"),
    ("", "there is no workflow in the text: it is empty"),
    ("# only a comment\n", "there is no workflow in the text: it is empty"),
    ("- 1\n", "line 1, column 1: the job must be a mapping of fields, not a list"),
    ("hello\n", "line 1, column 1: the job must be a mapping of fields, not the text 'hello'"),
    ("a: &x [*x]\n", "line 1, column 8: the alias 'x' stands inside what it names"),
    ("a: *x\n", "line 1, column 4: the alias 'x' names nothing"),
    ("? [a]\n: 1\n", "line 1, column 5: the name of a field is not a text"),
    (
        "a: !!python/object:x 1\n",
        "line 1, column 4: the tag 'tag:yaml.org,2002:python/object:x' is not supported",
    ),
    ('{"a": 1, "b": [}', "line 1, column 16: the JSON does not parse: a value is expected"),
    ('{"a": [1, 2}', "line 1, column 12: the JSON does not parse: ',' or ']' is expected"),
    ('{\n "a": 1,\n "a": 2}', "line 3, column 2: the field 'a' is given twice (first in line 2)"),
    ('{"a": "b}', "line 1, column 7: the JSON does not parse: unterminated string starting at"),
]


@pytest.mark.parametrize(("text", "sentence"), SENTENCES, ids=[s for _, s in SENTENCES])
def test_bad_input_is_told_in_one_sentence(text: str | bytes, sentence: str) -> None:
    """The sentence has the place in the file, the path, and what was meant."""
    assert sentences(text) == [sentence]


def test_all_problems_are_told_in_the_order_of_the_text() -> None:
    """Every failing field is reported, first in the file first."""
    text = GOOD.replace("tasks: 1", "tasks: 0") + "steps:\n  - nam: x\n  - run: {command: 1}\n"
    assert [each.partition(":")[0] for each in sentences(text)] == [
        "line 1, column 20",
        "line 3, column 5",
        "line 4, column 20",
    ]
    with pytest.raises(InvalidWorkflow) as caught:
        load_workflow(text, source="job.yaml")
    assert str(caught.value).endswith("not 0 (and 2 more).")


def test_the_job_may_stand_below_the_field_job() -> None:
    """Both forms are read; positions are those of the text."""
    text = "job:\n  resources: {tasks: 1, cpusPerTask: 1, memPerCpu: 200, gpus: 0}\n  steps: []\n"
    assert load_workflow(text).resources.mem_per_cpu == 200
    assert sentences(text.replace("tasks: 1", "tasks: 0")) == [
        "line 2, column 22: resources.tasks must be 1 or more, not 0"
    ]
    assert sentences(text + "env: []\n")[0].startswith("line 1, column 1: ")


def test_yaml_is_read_by_the_rules_of_1_2() -> None:
    """Words such as no and on, dates and times stay texts; 0o and 0x are numbers."""
    text = GOOD + (
        "inputMode: 0o755\nsteps:\n"
        "  - {name: no}\n  - {name: on}\n  - {name: 2024-01-02}\n  - {name: 12:30}\n  - {name: 0755}\n"
        "  - {name: '1'}\n  - {name: !!str 5}\n  - {name: |-\n      a\n       b}\n"
    ).replace("  - {name: |-\n      a\n       b}\n", "  - name: |-\n      a\n       b\n")
    workflow = load_workflow(text)
    assert workflow.input_mode == 493
    names = [step.name for step in workflow.steps]
    assert names == ["no", "on", "2024-01-02", "12:30", "0755", "1", "5", "a\n b"]


def test_aliases_and_merges() -> None:
    """An alias stands for its value; ``<<`` takes over fields that are not given."""
    text = GOOD + (
        "steps:\n  - &first\n    name: one\n    run: {command: echo}\n"
        "  - <<: *first\n    name: two\n  - *first\n"
    )
    workflow = load_workflow(text)
    assert [step.name for step in workflow.steps] == ["one", "two", "one"]
    assert workflow.steps[1].run == workflow.steps[0].run


def test_aliases_cannot_blow_up_a_document() -> None:
    """Aliases of aliases are refused before they are expanded."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (sentence,) = sentences("\n".join(lines))
    assert sentence.endswith("aliases make the document too large")


@pytest.mark.parametrize("text", ["a: " + "[" * 5000, '{"a": ' + "[" * 5000, "- " * 5000])
def test_endless_nesting_is_refused(text: str) -> None:
    """A text that only opens brackets is an error, not a crash."""
    assert len(sentences(text)) == 1


def test_json_gives_the_same_as_yaml() -> None:
    """JSON is read with its own escapes, tabs allowed between values, positions kept."""
    data = job({"name": "a/b \U0001f600 \t"}, run("echo"), enableLogging=True)
    for text in (json.dumps(data), json.dumps(data, indent="\t"), json.dumps({"job": data})):
        assert load_workflow(text).to_wire() == data
    text = json.dumps(data, indent="\t").replace("200", '"200"')
    assert sentences(text) == [
        "line 5, column 16: resources.memPerCpu must be a whole number, not the text '200' "
        "(leave out the quotes)"
    ]
    assert load_workflow("\ufeff" + json.dumps(data)).enable_logging is True


def test_a_flow_mapping_that_is_no_json_is_yaml() -> None:
    """A text may begin with a brace and still be YAML."""
    assert load_workflow(
        "{resources: {tasks: 1, cpusPerTask: 1, memPerCpu: 1, gpus: 0}, steps: []}"
    )


def test_lone_surrogates_are_refused() -> None:
    """A text that is no valid Unicode cannot reach a script."""
    (sentence,) = sentences(json.dumps(job({"name": "a"})).replace('"a"', '"\\ud800"'))
    assert "steps[0].name must hold no NUL and only valid Unicode" in sentence
