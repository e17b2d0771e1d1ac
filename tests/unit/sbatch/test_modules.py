"""Modules: templates, files, what is put where, and limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dsq.core.errors import NotFoundError, WorkflowError
from dsq.sbatch.modules.git import Fetched
from dsq.sbatch.modules.parser import TemplateError
from dsq.sbatch.modules.resolving import ModuleLimits, needs_modules, with_modules
from dsq.sbatch.modules.source import Local, Remote, parse_source
from dsq.sbatch.modules.template import fill_in
from dsq.sbatch.workflow import InvalidWorkflow, Workflow, load_workflow, parse_workflow
from tests.unit.sbatch.builders import env, job, run

HEAD = "name: m\ndescription: d\n"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("github.com/o/r@v1", Remote("github.com", "o/r", "", "v1")),
        ("GitHub.com/O/r/a/b@feature/x", Remote("github.com", "O/r", "a/b", "feature/x")),
        ("host:8443/o/r", Remote("host:8443", "o/r", "", "")),
        ("./m", Local("./m")),
        ("../m/module.yaml", Local("../m/module.yaml")),
        ("/m", Local("/m")),
    ],
)
def test_sources(text: str, source: Remote | Local) -> None:
    """A repository with folder and ref, or a path."""
    assert parse_source(text) == source


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "m",
            "github.com/o",
            "https://github.com/o/r",
            "github.com/o/r@",
            "github.com/o/../r",
        ),
        *("github.com/o/r/../x", "github.com/o/r@-x", "github.com/o/r@a..b", "user@github.com/o/r"),
        *("github.com/o/r@v1\n", "github.com/-o/r", "-x.org/o/r", "github.com//r", "./a\0b"),
    ],
)
def test_other_texts_are_no_sources(text: str) -> None:
    """Nothing that git could read as an option, a path or another host."""
    with pytest.raises(WorkflowError, match="no source of a module"):
        parse_source(text)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain } { text", "plain } { text"),
        ("a {{ .A }} b", "a 1 b"),
        ("a {{- .A -}} b", "a1b"),
        ("a {{/* a }} comment */}} b", "a  b"),
        ("a\n{{- /* x */ -}}\nb", "ab"),
        ('{{ "a\\n\\"b" }}{{ `c\\n` }}', 'a\n"bc\\n'),
        ("{{ 1 }}{{ -2 }}{{ 1.5 }}{{ true }}{{ nil }}", "1-21.5true<nil>"),
        ("{{ if .A }}x{{ else }}y{{ end }}", "x"),
        ("{{ if .Zero }}x{{ else if .A }}y{{ else }}z{{ end }}", "y"),
        ("{{ if eq .A 2 }}x{{ else if eq .A 3 }}y{{ else }}z{{ end }}", "z"),
        ("{{ with .Map }}{{ .K }}{{ $.A }}{{ end }}", "v1"),
        ("{{ with .Nil }}x{{ else }}y{{ end }}", "y"),
        ("{{ with $x := .Map }}{{ $x.K }}{{ end }}", "v"),
        ("{{ range .List }}[{{ . }}]{{ end }}", "[a][b]"),
        ("{{ range $i, $x := .List }}{{ $i }}{{ $x }}{{ end }}", "0a1b"),
        ("{{ range $x := .List }}{{ $x }}{{ end }}", "ab"),
        ("{{ range .Nil }}x{{ else }}none{{ end }}", "none"),
        ("{{ $n := 0 }}{{ range .List }}{{ $n = add $n 1 }}{{ end }}{{ $n }}", "2"),
        ("{{ (index .Maps 0).K }}", "v"),
        ('{{ .Nil | default "d" }}{{ "" | default "e" | quote }}', 'd"e"'),
        ('{{ printf "%s=%d %q%%" "a" 1 "b" }}', 'a=1 "b"%'),
        ('{{ and 1 0 }}{{ or 0 "x" }}{{ not 0 }}', "0xtrue"),
        ('{{ "x\ny" | nindent 2 }}', None),
        ("{{ .List | toYaml | nindent 2 }}", "\n  - a\n  - b"),
        ("{{ .Nil | toYaml }}{{ .List | toJson }}", '["a", "b"]'),
        ('{{ if and (gt .A 0) (lt .A 5) }}in{{ end }} {{ ternary "y" "n" (eq .A 1) }}', "in y"),
        ('{{ join "," .List }} {{ replace "a" "b" "aa" | upper }}', "a,b BB"),
        ('{{ has "a" .List }} {{ len .List }} {{ hasPrefix "a" "ab" }}', "true 2 true"),
    ],
)
def test_templates(template: str, text: str | None) -> None:
    """What Go's templates with sprig's functions make of these."""
    values = {
        "A": 1,
        "Zero": 0,
        "Nil": None,
        "List": ["a", "b"],
        "Map": {"K": "v"},
        "Maps": [{"K": "v"}],
    }
    if text is None:
        with pytest.raises(TemplateError):
            fill_in(template, values)
    else:
        assert fill_in(template, values) == text


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("a\n{{ .B }}", "line 2 .* there is no '.B'"),
        ("{{ .Job.Resource }}", "Did you mean 'Resources'"),
        ("{{ if .A }}", "'if' has no 'end'"),
        ("{{ end }}", "'end' belongs to nothing"),
        ("{{ template `x` }}", "'template' is not supported"),
        ("{{ env `HOME` }}", "no function 'env'"),
        ("{{ nindnt 2 `x` }}", "Did you mean .*'nindent'"),
        ("{{ indent 100000 `x` }}", "'indent' cannot be used"),
        ("{{ $x }}", r"no variable '\$x'"),
        ("{{ .A", "an action cannot be read"),
        ("{{ .A ) }}", r"'\)' is not expected"),
        ("{{ (.A }}", "bracket is not closed"),
        ("{{ .Job }}", "a Job has no text"),
        ("{{ " + "(" * 60 + ".A" + ")" * 60 + " }}", "stand inside each other"),
        ("{{ if .A }}" * 60 + "{{ end }}" * 60, "stand inside each other"),
        ("{{ range 400000 }}{{ end }}", "more than 100000 actions"),
        ("{{ $x := `ab` }}{{ range 40 }}{{ $x = print $x $x }}{{ end }}", "'print' makes more"),
        ("{{ range 2000 }}" + "x" * 1000 + "{{ end }}", "it makes more than"),
        ("{{ $l := list 1 }}{{ range 40 }}{{ $l = list $l $l }}{{ end }}", "'list' cannot be used"),
        ("{{ replace `` `x` `y` }}", "'replace' cannot be used"),
    ],
)
def test_templates_that_are_refused(template: str, words: str) -> None:
    """What is wrong, unknown, or would take or make too much; each says in which line."""
    workflow = parse_workflow(job(run("true")))
    with pytest.raises(TemplateError, match=words):
        fill_in(template, {"A": 1, "Job": workflow})


class Shelf:
    """Modules by source, for tests."""

    def __init__(self, **modules: str) -> None:
        self.modules = modules
        self.asked: list[str] = []

    async def fetch(self, source: Remote) -> Fetched:
        """Gives a module by the name of its repository."""
        name = source.repository.partition("/")[2]
        self.asked.append(name)
        return Fetched(self.modules[name].encode(), "c" * 40)


def using(name: str, **fields: Any) -> dict[str, Any]:
    """A step that uses a module of the shelf."""
    return {"use": {"source": f"host/o/{name}", **fields}}


async def filled(workflow: dict[str, Any], **modules: str) -> Workflow:
    """The workflow with its modules."""
    return await with_modules(parse_workflow(workflow), Shelf(**modules))


async def test_a_module_sees_the_job_and_the_step() -> None:
    """Resources, arguments and the steps that were handed to it, which it puts where it wants."""
    text = (
        HEAD
        + """minimumResources:
  tasks: {{ .Job.Resources.Tasks }}
inputs:
  - key: A
steps:
  - name: {{ .Step.Name }} {{ range .Step.Use.Args }}{{ .Key }}={{ .Value }}{{ end }}
  {{- .Step.Use.Steps | toYaml | nindent 2 }}
  - name: {{ .Job.Resources.MemPerCPU | quote }}
"""
    )
    given = [run("echo 'a: b'\n\n\techo \"$X\" # no\n"), {"name": "no"}, {"if": "1 == 1"}]
    workflow = job({"name": "s", **using("m", args=env(A="1"), steps=given)})
    used = (await filled(workflow, m=text)).steps[0].use
    assert used is not None
    assert used.module is not None
    assert used.steps is None
    assert [step.to_wire() for step in used.module.steps] == [
        {"name": "s A=1"},
        *given,
        {"name": "200"},
    ]


async def test_secrets_of_the_job_are_not_for_modules() -> None:
    """A template cannot write keys of buckets into the steps it makes."""
    workflow = job(using("m"), input={"http": {"url": "https://key@host/x"}})
    with pytest.raises(WorkflowError, match=r"there is no '.HTTP' of what is not there"):
        await filled(workflow, m=HEAD + "steps: [{name: '{{ .Job.Input.HTTP.URL }}'}]")


async def test_modules_stand_wherever_steps_do() -> None:
    """In groups, loops, launches, handlers and in other modules; each is fetched once."""
    shelf = Shelf(m=HEAD + "steps: [{name: x}]", n=HEAD + "steps: [{use: {source: host/o/m}}]")
    inner = [using("m")]
    workflow = parse_workflow(
        job(
            {"steps": inner, "catch": inner, "finally": inner},
            {"for": {"parallel": False, "items": ["a"], "steps": inner}},
            {"launch": {"steps": inner}},
            using("n"),
        )
    )
    assert needs_modules(workflow)
    found = await with_modules(workflow, shelf)
    assert not needs_modules(found)
    assert sorted(shelf.asked) == ["m", "n"]
    assert parse_workflow(found.to_wire()) == found


async def test_modules_come_to_an_end() -> None:
    """One that uses itself, too many, and too many inside each other are errors."""
    with pytest.raises(WorkflowError, match="uses itself"):
        await filled(job(using("m")), m=HEAD + "steps: [{use: {source: host/o/m}}]")
    with pytest.raises(WorkflowError, match="at most 50 modules"):
        await filled(job(*[using("m")] * 51), m=HEAD + "steps: []")
    chain = {f"m{n}": f"{HEAD}steps: [{{use: {{source: host/o/m{n + 1}}}}}]" for n in range(9)}
    with pytest.raises(WorkflowError, match="at most 8 inside"):
        await filled(job(using("m0")), **chain)


async def test_modules_have_a_time() -> None:
    """All of them together."""

    class Slow(Shelf):
        async def fetch(self, source: Remote) -> Fetched:
            raise TimeoutError

    with pytest.raises(WorkflowError, match="did not come within 5 seconds"):
        await with_modules(parse_workflow(job(using("m"))), Slow(), limits=ModuleLimits(seconds=5))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steps: [", "the YAML does not parse"),
        (HEAD + "steps: [{nam: x}]", "unknown field 'nam' in steps"),
        (HEAD + "steps: []\ninputs: [{key: 1a}]", "must be a text|must be a name"),
        ("description: d\nsteps: []", "field 'name' is missing"),
        (HEAD + "{{ .X }}", "there is no '.X'"),
        (HEAD + "steps: [{dependsOn: [x]}]", "no launch has this handleName"),
    ],
)
async def test_a_wrong_module_is_named(text: str, words: str) -> None:
    """With its source and commit, and what is wrong in it."""
    with pytest.raises(WorkflowError, match=words) as caught:
        await filled(job(using("m")), m=text)
    assert "he module host/o/m@" + "c" * 40 in str(caught.value)


async def test_a_job_too_small_for_a_module_is_refused() -> None:
    """The resource, what the module needs and what the job has are named."""
    text = HEAD + "minimumResources: {tasks: 1, cpusPerTask: 1, memPerCpu: 300, gpus: 0}\nsteps: []"
    with pytest.raises(InvalidWorkflow, match=r"needs memPerCpu 300 or more, the job has 200"):
        await filled(job(using("m")), m=text)


async def test_an_argument_that_is_no_input_is_an_error() -> None:
    """The reference leaves it out in silence; the close match is named."""
    text = HEAD + "inputs: [{key: GREETING}]\nsteps: []"
    with pytest.raises(InvalidWorkflow, match="has no input 'GRETING' .did you mean 'GREETING'"):
        await filled(job(using("m", args=env(GRETING="x"))), m=text)
    assert await filled(job(using("m", args=env(GREETING="y"))), m=text)


async def test_files_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    """A folder stands for its module.yaml; modules in files use files beside them."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "module.yaml").write_text(HEAD + "steps: [{use: {source: ./b.yaml}}]")
    (tmp_path / "a" / "b.yaml").write_text(HEAD + "steps: [{name: deep}]")
    workflow = parse_workflow(job({"use": {"source": "./a"}}))
    found = yaml.safe_dump((await with_modules(workflow, None, folder=tmp_path)).to_wire())
    assert "name: deep" in found
    with pytest.raises(WorkflowError, match="only files of yours"):
        await with_modules(workflow, None)
    missing = parse_workflow(job({"use": {"source": "./none.yaml"}}))
    with pytest.raises(NotFoundError, match=r"none.yaml cannot be read"):
        await with_modules(missing, None, folder=tmp_path)


async def test_a_module_from_elsewhere_names_no_files(tmp_path: Path) -> None:
    """It could read what is the user's."""
    shelf = Shelf(m=HEAD + "steps: [{use: {source: /etc/passwd}}]")
    with pytest.raises(WorkflowError, match="only files of yours"):
        await with_modules(parse_workflow(job(using("m"))), shelf, folder=tmp_path)


async def test_without_a_fetcher_other_hosts_are_refused() -> None:
    """As in a service whose outbound requests are off; what is filled in needs none."""
    workflow = parse_workflow(job(using("m")))
    with pytest.raises(WorkflowError, match="outbound requests are off"):
        await with_modules(workflow, None)
    done = await with_modules(workflow, Shelf(m=HEAD + "steps: [{name: x}]"))
    assert await with_modules(done, None) is done


def test_sources_are_checked_with_the_workflow() -> None:
    """Without fetching anything, at their line and column."""
    with pytest.raises(InvalidWorkflow, match="line 4, column 15: .*be a source of a module"):
        load_workflow(
            "resources: {tasks: 1, cpusPerTask: 1, memPerCpu: 1, gpus: 0}\n"
            "steps:\n  - use:\n      source: 'https://github.com/o/r'\n"
        )
