"""Answers for a first set-up: from options, the environment, the file that is there, or a person."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import click

from receiver.cli.connect.stores import EnvFile
from receiver.config.environment import VARIABLES
from receiver.config.loading import load_what_is_right
from receiver.config.secrets import SECRET_VARIABLES

UNQUOTED: Final = re.compile(r"""[!-~]+""")
NEEDS_QUOTES: Final = frozenset("\"'\\$`#&;|<>()")
"""What a shell, Docker and systemd do not all read alike."""


@dataclass(slots=True)
class Answers:
    """What is to be written. Without `asks`, a missing answer raises `click.UsageError`."""

    file: EnvFile
    environ: Mapping[str, str]
    asks: bool
    _values: dict[str, str] = field(default_factory=dict)

    def take(
        self,
        variable: str,
        question: str,
        given: str | None,
        option: str,
        *,
        default: str | None = None,
        is_secret: bool = False,
    ) -> None:
        """Settle one variable. What is given by an option must be right; a person is asked again."""
        if given:
            self.keep(variable, given)
            return
        if self.environ.get(f"{variable}_FILE"):
            return
        known = self.environ.get(variable, "").strip() or self.file.read(variable)
        if not self.asks:
            if not (known or default):
                raise click.UsageError(f"Give {option} or set {variable}: there is no terminal to ask on.")
            self.keep(variable, known or default or "")
            return
        while True:
            answer = self._ask(question, known or default, is_secret=is_secret)
            problem = problem_with(variable, answer)
            if problem is None:
                self._values[variable] = answer
                return
            click.echo(f"{problem}.", err=True)

    def keep(self, variable: str, value: str) -> None:
        """A value that nobody is asked for; raises `click.UsageError` if it is wrong."""
        if problem := problem_with(variable, value):
            raise click.UsageError(f"{problem}.")
        self._values[variable] = value

    def make(self, variable: str, value: str) -> None:
        """A value of our own, unless there is one."""
        if not (
            self.environ.get(variable) or self.environ.get(f"{variable}_FILE") or self.file.read(variable)
        ):
            self._values[variable] = value

    def names(
        self, question: str, given: tuple[str, ...], known: tuple[str, ...], default: str
    ) -> tuple[str, ...]:
        """Several of the known names."""
        if given or not self.asks:
            return given or (default,)
        click.echo(f"There are {', '.join(known)}.", err=True)
        while True:
            answer: str = click.prompt(question, default=default, err=True)
            names = tuple(dict.fromkeys(re.split(r"[\s,]+", answer.strip().lower())))
            if set(names) <= set(known):
                return names
            click.echo(f"There is no sender {', '.join(sorted(set(names) - set(known)))}.", err=True)

    def text(self, question: str, given: str | None, default: str, kind: click.ParamType[str]) -> str:
        if given or not self.asks:
            return given or default
        answer: str = click.prompt(question, default=default, type=kind, err=True)
        return answer

    def confirm(self, question: str) -> bool:
        return click.confirm(question, default=False, err=True)

    def write(self) -> None:
        for variable, value in self._values.items():
            if self.file.read(variable) != value:
                self.file.write(variable, value)

    def environment(self) -> dict[str, str]:
        """With which `serve` and `worker` will run."""
        names = [variable.name for variable in (*VARIABLES, *SECRET_VARIABLES)]
        stored = {name: value for name in names if (value := self.file.read(name))}
        return {**stored, **self.environ, **self._values}

    def _ask(self, question: str, default: str | None, *, is_secret: bool) -> str:
        options: dict[str, Any] = {"hide_input": is_secret, "err": True}
        if is_secret and default:
            question = f"{question} [empty: keep the one there is]"
            options["show_default"] = False
        answer: str = click.prompt(question, default=default, **options)
        return answer.strip()


def problem_with(variable: str, value: str) -> str | None:
    """What is wrong with this value of a setting, in words; `None` if nothing is."""
    if not UNQUOTED.fullmatch(value) or NEEDS_QUOTES & set(value):
        return (
            f"{variable} holds a space, a quote or another character that must be percent-encoded in a file"
        )
    _, problems = load_what_is_right({variable: value})
    return next((problem for problem in problems if problem.startswith(variable)), None)
