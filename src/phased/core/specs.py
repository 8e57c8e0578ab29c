"""From definitions to what the API shows: tasks and services with ids, and the spec of an execution.

Knows definitions, ids and the planner. Must not know files, stores or runs. All of it is a function of
its arguments: planning twice gives the same ids, so `plan` needs no state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID, uuid5

from phased.contract.definitions import Definitions, EnvironmentEntry, ServiceDefinition, TaskDefinition
from phased.contract.environment_variable import EnvironmentVariableItem, EnvironmentVariableSource
from phased.contract.execution import Plan, PlanStep, PlanStepTask, TaskExecutionSpec
from phased.contract.secret_ref import SecretRef
from phased.contract.task import TaskSpec
from phased.core import planner
from phased.core.policy import ExecutionPolicy, StepPolicy
from phased.errors import UnknownReference

_uuid = lru_cache(maxsize=64)(UUID)
_NAMESPACE = UUID("6d1c3f52-2f0b-5b0e-9a57-0f6f1f0c5f0d")


def environment_id(workspace: str) -> str:
    """The id of the environment that a workspace directory (an absolute, resolved path) is."""
    return str(uuid5(_NAMESPACE, f"environment:{workspace}"))


def automation_id(environment: str, reference: str) -> str:
    """The id of a task or service of a file: the same as long as its reference is."""
    return str(uuid5(_uuid(environment), f"automation:{reference}"))


def secret_id(environment: str, name: str) -> str:
    """The id under which a secret that a file names is looked up."""
    return str(uuid5(UUID(environment), f"secret:{name}"))


def environment_item(environment: str, entry: EnvironmentEntry) -> EnvironmentVariableItem:
    """One variable as the API shows it: a secret by its id."""
    if entry.secret is None and entry.secret_id is None:
        return EnvironmentVariableItem(name=entry.name, value=entry.value)
    reference = SecretRef(id=entry.secret_id or secret_id(environment, entry.secret or ""))
    return EnvironmentVariableItem(
        name=entry.name, value_from=EnvironmentVariableSource(secret_ref=reference)
    )


@dataclass(frozen=True, slots=True)
class PlannedExecution:
    """One execution that would be started: the reference of its main task, and its spec."""

    reference: str
    task_id: str
    spec: TaskExecutionSpec
    policies: Mapping[str, StepPolicy]
    """By step id; only those that say something."""
    secrets: Mapping[str, str]
    """Id to name of every secret that its steps mount."""

    def policy(
        self, *, max_parallel: int, stop_timeout: float, kill_timeout: float = 10.0
    ) -> ExecutionPolicy:
        """The whole policy, with what settings say."""
        return ExecutionPolicy(max_parallel, stop_timeout, kill_timeout, self.policies)


class Catalog:
    """Everything that one environment defines, by reference, in the order of definition."""

    def __init__(self, environment: str, definitions: Definitions) -> None:
        """`environment` is the environment's id."""
        self.environment = environment
        self.tasks = {task.reference: task for task in definitions.tasks}
        self.services = {service.reference: service for service in definitions.services}
        everything: list[TaskDefinition | ServiceDefinition] = [*definitions.tasks, *definitions.services]
        self.needs: dict[str, tuple[str, ...]] = {entry.reference: entry.depends_on for entry in everything}

    @classmethod
    def from_definitions(cls, definitions: Definitions, environment: str) -> Catalog:
        """The same, in the words of who has definitions."""
        return cls(environment, definitions)

    def triggered(self, trigger: str) -> tuple[list[str], list[str]]:
        """References of the tasks and of the services that a trigger (`prebuild`) starts."""
        tasks = [ref for ref, task in self.tasks.items() if trigger in task.triggered_by]
        services = [ref for ref, service in self.services.items() if trigger in service.triggered_by]
        return tasks, services

    def plan(self, reference: str, execution_id: str) -> PlannedExecution:
        """The execution of a task with everything it needs, in groups.

        Step ids follow from the execution's id. Raises UnknownReference, CycleFound.
        """
        if reference not in self.tasks:
            raise UnknownReference(
                reference, near=planner.nearest(reference, self.tasks), known=tuple(self.tasks)
            )
        execution = UUID(execution_id)
        members = planner.groups(self.needs, reference)
        ids = {ref: str(uuid5(execution, ref)) for group in members for ref in group}
        plan = tuple(
            Plan.model_construct(steps=tuple(self._step(ref, ids) for ref in group)) for group in members
        )
        tasks = [self.tasks[ref] for ref in ids if ref in self.tasks]
        return PlannedExecution(
            reference,
            automation_id(self.environment, reference),
            TaskExecutionSpec.model_construct(plan=plan),
            {ids[task.reference]: _policy(task) for task in tasks if task.timeout or task.retries},
            {secret_id(self.environment, e.secret): e.secret for task in tasks for e in task.env if e.secret},
        )

    def _step(self, reference: str, ids: Mapping[str, str]) -> PlanStep:
        needs = tuple(ids[need] for need in self.needs[reference])
        own = automation_id(self.environment, reference)
        if reference in self.services:
            return PlanStep.model_construct(
                id=ids[reference], depends_on=needs, label=reference, service_id=own
            )
        task = PlanStepTask.model_construct(id=own, spec=self._spec(self.tasks[reference]))
        return PlanStep.model_construct(id=ids[reference], depends_on=needs, label=reference, task=task)

    def _spec(self, task: TaskDefinition) -> TaskSpec:
        env = tuple(environment_item(self.environment, entry) for entry in task.env)
        return TaskSpec.model_construct(
            command=task.command or None,
            env=env,
            runs_on=task.runs_on,
            prebuild_requires_success=task.prebuild_requires_success,
        )


def plan_executions(
    catalog: Catalog, references: Sequence[str] = (), trigger: str | None = None
) -> list[PlannedExecution]:
    """The executions that `plan` shows: of these references, of a trigger's tasks, else of every task.

    Ids are made from the environment and the reference, so that they are the same each time.
    """
    chosen = list(dict.fromkeys(references))
    if trigger is not None:
        chosen += [reference for reference in catalog.triggered(trigger)[0] if reference not in chosen]
    elif not chosen:
        chosen = list(catalog.tasks)
    base = UUID(catalog.environment)
    return [catalog.plan(reference, str(uuid5(base, f"plan:{reference}"))) for reference in chosen]


def _policy(task: TaskDefinition) -> StepPolicy:
    retries = task.retries
    return StepPolicy(
        timeout=task.timeout.total_seconds() if task.timeout else None,
        retries=retries.limit if retries else 0,
        backoff=retries.backoff.total_seconds() if retries else 2.0,
        exit_codes=frozenset(retries.exit_codes) if retries else frozenset(),
    )
