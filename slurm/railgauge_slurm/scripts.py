"""The text of a batch script: a template and the options of a job.

A template is Jinja. Whatever it writes of the options is quoted for the shell unless it comes out of
`directive(OPTION, VALUE)`, a whole line for sbatch, or of `| words`, a command line: a name like
`;$(rm -rf)` stays a name, also in a template that a site has edited.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from railgauge.errors import UsageError, unknown
from railgauge_slurm import templates
from railgauge_slurm.job_options import JobOptions, directive

SUFFIX = ".sh.j2"


def names() -> dict[str, str]:
    """Template that ships -> what it is for: the first line of its first comment."""
    found = {}
    for file in sorted(resources.files(templates).iterdir(), key=lambda file: file.name):
        if file.name.endswith(SUFFIX):
            first = file.read_text(encoding="utf-8").partition("\n")[0]
            found[file.name.removesuffix(SUFFIX)] = first.removeprefix("{#").strip(" -#}")
    return found


def source(name: str) -> str:
    """A template as it ships, to be copied and edited; raises UsageError."""
    known = names()
    if name not in known:
        raise unknown("template", name, known, "railgauge slurm plan --help")
    return (resources.files(templates) / f"{name}{SUFFIX}").read_text(encoding="utf-8")


def text(template: str, options: JobOptions) -> str:
    """The script that a template, one that ships or a file, makes of the options.

    The template sees them as `job`. Raises UsageError that names the template and its line.
    """
    environment = _environment(template)
    name = Path(template).name if template not in names() else f"{template}{SUFFIX}"
    try:
        made = environment.get_template(name).render(job=options)
    except jinja2.TemplateNotFound as missing:
        if missing.name == name:
            raise unknown(
                "template", template, names(), "--template FILE, or one of these"
            ) from None
        raise UsageError(f"--template {template}: there is no {missing.name}") from None
    except jinja2.TemplateSyntaxError as wrong:
        raise UsageError(f"--template {wrong.name}, line {wrong.lineno}: {wrong.message}") from None
    except (jinja2.UndefinedError, TypeError, ValueError, UnicodeDecodeError) as wrong:
        raise UsageError(
            f"--template {template}: {wrong}.\n  expected: fields of a job, as in the templates that ship\n"
            "  next: railgauge slurm plan --show-template job"
        ) from None
    return made.rstrip("\n") + "\n"


def _environment(template: str) -> jinja2.Environment:
    loaders: list[jinja2.BaseLoader] = [jinja2.FileSystemLoader(str(resources.files(templates)))]
    if template not in names():
        loaders.insert(0, jinja2.FileSystemLoader(str(Path(template).parent)))
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        undefined=jinja2.StrictUndefined,
        autoescape=True,  # what a block or macro gives comes as Markup, and is not quoted again
        finalize=_quoted,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals["directive"] = lambda option, value: Markup(directive(option, value))
    made.filters["words"] = _words
    return made


def _quoted(value: object) -> Any:
    """A value as one word of the shell; what is made for the script already stays as it is.

    Jinja names the value that is not there in its own error.
    """
    if isinstance(value, (Markup, jinja2.Undefined)):
        return value
    word = str(value)
    if "\0" in word:
        raise UsageError(f"{word!r} cannot stand in a script: it has a zero byte")
    return Markup(shlex.quote(word))


def _words(command: Sequence[str]) -> Markup:
    return Markup(" ").join(_quoted(word) for word in command)
