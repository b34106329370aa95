"""One cluster of ECS: what is asked of it and written to it. Each `failures[]` of an answer is an error here."""

from typing import Any

from backends.aws.account import Account
from backends.aws.wire import told
from backends.deployments.ecs.wire import Container, Definition, Service, Tag, Task, short_of
from backends.errors import BackendError
from backends.images import TAG_FIX, image_repository, version_problem, with_version
from backends.models import Finding
from backends.redaction import quoted
from backends.text import clean

MARK, ACTION, FROM = "tealdeck:deploy", "tealdeck:action", "tealdeck:from"
"""Tags: on a service, what is put there and by which action; on a task definition, the action that made it, and the
task definition that it was made from."""
# What AWS tells of a task definition, and takes from nobody.
_READ_ONLY = frozenset(
    {"taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt",
     "registeredBy", "deregisteredAt", "deleteRequestedAt"}
)  # fmt: skip


class Cluster:
    """`name`: short, or an ARN."""

    def __init__(self, account: Account, name: str) -> None:
        self.account = account
        self.name = name
        self._definitions: dict[str, Definition] = {}

    @property
    def where(self) -> str:
        """For errors."""
        return f"{self.account.where} cluster {short_of(self.name)}"

    async def services(self, *names: str) -> list[Service]:
        """As they are now, with their tags, in that order. Raises BackendError: `not_found` naming the missing one."""
        try:
            answer = await self.account.read(
                "ecs", "describe_services", cluster=self.name, services=list(names), include=["TAGS"]
            )
        except BackendError as error:
            if error.kind == "not_found":  # the cluster, which AWS does not name
                error.message = f"{self.where}: {error.message.removeprefix(f'{self.account.where}: ')}"
            raise
        self._refuse_failures(answer, "service")
        found = {each.service_name: each for each in told(answer.get("services", []), list[Service], self.where)}
        missing = [short_of(name) for name in names if short_of(name) not in found]
        if missing:
            raise self._missing("service", ", ".join(missing), "MISSING")
        for each in found.values():
            if each.status != "ACTIVE":
                words = f"{self.where}: service {each.service_name} is {clean(each.status, 40)}"
                raise BackendError("not_found", words, fix="create it anew, or correct the config")
        return [found[short_of(name)] for name in names]

    async def definition(self, arn: str) -> Definition:
        """A task definition; what a revision says never changes. Raises BackendError."""
        if arn not in self._definitions:
            answer = await self.account.read("ecs", "describe_task_definition", taskDefinition=arn, include=["TAGS"])
            raw = answer.get("taskDefinition") or {}
            containers = told(raw.get("containerDefinitions", []), list[Container], self.where)
            tags = {tag.key: tag.value for tag in told(answer.get("tags", []), list[Tag], self.where)}
            self._definitions[arn] = Definition(
                arn=str(raw.get("taskDefinitionArn", arn)), containers=containers, tags=tags, raw=raw
            )
        return self._definitions[arn]

    async def register(
        self, before: Definition, container: str, repository: str, version: str, *, stamp: str
    ) -> Definition:
        """A new revision of `before` in which only the image of that container differs, with its tags and the action's.

        Raises BackendError: `config` for a version that is no tag, or no such container."""
        chosen = must_have(before, container)
        if problem := version_problem(version):
            raise BackendError("config", problem, fix=TAG_FIX)
        image = with_version(repository or image_repository(chosen.image), version)
        request = {key: value for key, value in before.raw.items() if key not in _READ_ONLY}
        request["containerDefinitions"] = [
            {**each, "image": image} if each.get("name") == chosen.name else each
            for each in before.raw["containerDefinitions"]
        ]
        tags = {key: value for key, value in before.tags.items() if not key.startswith("aws:")}
        tags |= {ACTION: stamp, FROM: before.short}
        request["tags"] = [{"key": key, "value": value} for key, value in tags.items()]
        answer = await self.account.write("ecs", "register_task_definition", **request)
        arn = str((answer.get("taskDefinition") or {}).get("taskDefinitionArn", ""))
        if not arn:
            raise BackendError("malformed", f"{self.where}: a task definition without an ARN")
        return await self.definition(arn)

    async def update(self, service: str, **change: Any) -> Service:
        """`update_service`, sent once. Raises BackendError."""
        answer = await self.account.write("ecs", "update_service", cluster=self.name, service=service, **change)
        return told(answer.get("service"), Service, self.where)

    async def stopped(self, service: str, started_by: str = "") -> list[Task]:
        """Tasks of a service that were stopped lately, the newest first; `started_by`: only of that deployment."""
        asked = {"cluster": self.name, "serviceName": service, "desiredStatus": "STOPPED"}
        arns = (await self.account.pages("ecs", "list_tasks", "taskArns", **asked))[-100:]
        if not arns:
            return []
        answer = await self.account.read("ecs", "describe_tasks", cluster=self.name, tasks=arns)
        tasks = told(answer.get("tasks", []), list[Task], self.where)
        mine = [task for task in tasks if started_by in ("", task.started_by) and task.stopped_at is not None]
        return sorted(mine, key=lambda task: task.stopped_at.timestamp() if task.stopped_at else 0.0, reverse=True)

    def _refuse_failures(self, answer: dict[str, Any], noun: str) -> None:
        for failure in answer.get("failures", []):
            raise self._missing(noun, short_of(str(failure.get("arn", "?"))), str(failure.get("reason", "?")))

    def _missing(self, noun: str, name: str, reason: str) -> BackendError:
        words = f"{self.where}: {noun} {clean(name, 200)}: {quoted(reason)}"
        kind: Any = "not_found" if reason == "MISSING" else "failed"
        return BackendError(kind, words, fix=f"check `cluster`, the {noun} in the config, and region and account")


def unfit(definition: Definition, container: str) -> Finding | None:
    """Why no version is set there; None where it can be."""
    try:
        must_have(definition, container)
    except BackendError as error:
        return Finding.block("container", error.message, error.fix)
    return None


def must_have(definition: Definition, container: str) -> Container:
    """That container, or the only one. Raises BackendError(config)."""
    found = definition.container(container)
    if found is not None:
        return found
    if container:
        words = f"task definition {definition.short} has no container {clean(container, 64)}"
        raise BackendError("config", words, fix=f"`container`: one of {definition.names}")
    words = f"task definition {definition.short} has {len(definition.containers)} containers"
    raise BackendError("config", words, fix=f"say whose image is set: `container`: one of {definition.names}")
