"""The causes that the words of a failure name: patterns over lines, from the narrowest to the widest."""

import re
from collections.abc import Iterator, Sequence
from typing import Literal

CHARS = 2000  # so much of a line is looked at
OwnKind = Literal["input", "config", "schema", "code", "access"]
LimitKind = Literal["quota", "memory"]


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_CONFIG = _any_of(
    r"(?-i:\bKeyError: ['\"]?[A-Z][A-Z0-9]*_[A-Z0-9_]+\b)|environment variable .{0,80}not set",
    r"environment variable .{0,80}(?:missing|required|not found)",
    r"(?-i:\b[A-Z][A-Z0-9_]{3,}\b) (?:is not set|must be set)|unbound variable|\bVariable \S+ does not exist",
    r"conn(?:ection)?(?:_| )id .{0,80}(?:isn.t defined|is not defined|not found|does not exist)",
    r"(?:missing|invalid|unknown|unrecognized|unsupported) (?:required )?(?:config\w*|settings?|options?|arguments?)\b",
    r"(?:config\w*|settings?|profile) .{0,80}(?:is not valid|is invalid|not found|could not be (?:found|parsed|read))",
    r"(?:could|can) ?not (?:find|parse|read|load) .{0,40}(?:profile|config\w*|settings)\b|ProfileNotFound",
    r"(?:scanner|parser)\.(?:Scanner|Parser)Error|TOMLDecodeError|configparser\.|InvalidConfig|ConfigurationError",
    r"usage: .{0,200}\berror: (?:the following arguments|argument|unrecognized)|the following arguments are required",
    r"invalid (?:connection string|dsn|url)\b",
)
_INPUT = _any_of(
    r"FileNotFoundError|NoSuchKey|NoSuchBucket|NoSuchFile|PATH_NOT_FOUND|BlobNotFound|FileNotFoundException",
    r"\b(?:path|file|object|specified key|blob|bucket|partition|prefix)\b(?:(?!column|field).){0,80}\bdoes not exist",
    r"\b(?:path|file|object|blob|bucket|partition|prefix)\b(?:(?!column|field).){0,80}\b(?:not found|is missing)",
    r"no such file(?: or directory)?|no (?:input )?(?:files?|partitions?) (?:found|match)|\b404\b.{0,40}not found",
    r"(?:input|source|upstream) (?:file|data|partition)\w* .{0,40}(?:missing|not (?:there|available|ready))",
)
_SCHEMA = _any_of(
    r"\b(?:column|field|relation|table|attribute|key)\b.{0,80}\b(?:not found|missing|not present)",
    r"\b(?:column|field|relation|table|attribute|key)\b.{0,80}\bdo(?:es not|esn.t) exist",
    r"\b(?:column|field|relation|table|attribute|key)\b.{0,80}\bis (?:not (?:in|part of|a column)|absent|unknown)\b",
    r"no such (?:column|table)|has no (?:column|field|attribute) named",
    r"(?:unknown|missing|unexpected|undefined) (?:column|field)|UndefinedColumn|UndefinedTable|UNRESOLVED_COLUMN",
    r"invalid (?:column name|object name|identifier)|unrecognized name:|(?:column|field)\b.{0,80}\bcannot be resolved",
    r"violates .{0,20}\bconstraint|(?:not null|check|foreign key|unique) constraint failed|cannot be null\b",
    r"duplicate (?:key value|entry)",
    r"\bKeyError\b|AnalysisException|SchemaError|ParserError|type mismatch",
    r"schema (?:mismatch|changed|evolution|validation)|cannot (?:cast|be cast)|could not convert",
    r"invalid input syntax for|expected \d+ (?:fields|columns)",
)
_CODE = _any_of(
    r"\b(?:SyntaxError|IndentationError|ImportError|ModuleNotFoundError|NameError|UnboundLocalError)\b",
    r"\b(?:TypeError|AttributeError|ZeroDivisionError|IndexError|NotImplementedError|RecursionError)\b",
    r"no module named|command not found|cannot import name|compilation error|UndefinedError|is undefined\b",
    r"(?:java|scala)\.lang\.(?:NullPointer|ClassNotFound|NoSuchMethod)",
    r"syntax error|exec format error|exit(?:ed)?(?: with)?(?: return)?(?: code| status)?:? 12[67]\b",
)
_ACCESS = _any_of(
    r"permission denied|access ?denied|not authori[sz]ed|unauthori[sz]ed",
    r"\b40[13]\b.{0,3}(?:forbidden|unauthorized|client)",
    r"(?:password )?authentication failed|invalid (?:credentials|password|token|api key)|token (?:has )?expired",
    r"PermissionError|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|UnrecognizedClient|NoCredentials",
    r"insufficient (?:privilege|permission)s?|must be owner of|role .{0,60}(?:does not exist|cannot be assumed)",
    r"certificate[ _](?:has expired|verify[ _]failed)|unable to locate credentials|login failed|could not authenticate",
)
_QUOTA = _any_of(
    r"quota\b.{0,60}(?:exceed|exhaust|reach)|(?:exceed|exhaust)\w*.{0,60}\bquota|insufficient_quota|QuotaExceeded",
    r"LimitExceeded|ConcurrentRunsExceeded|ResourceExhausted|RESOURCE_EXHAUSTED|resource monitor|usage limit",
    r"(?:usage|storage|job|concurren\w+|account|credit|spend\w*|billing|daily|monthly|hourly) (?:limit|cap)\b.{0,40}"
    r"(?:exceed|reach|hit)|out of credits|insufficient (?:credits|funds)",
)
_MEMORY = _any_of(
    r"out of memory|\bOOM\b|OOMKilled|MemoryError|java heap space|gc overhead limit|cannot allocate memory",
    r"(?:exceed|over|beyond)\w* .{0,40}memory|memory (?:limit|exhausted|exceeded)|oom[- ]kill|std::bad_alloc",
)
_PLATFORM = _any_of(
    r"SIGKILL|SIGTERM|runner lost|evicted|preempted",
    r"exit(?:ed)?(?: with)?(?: return)?(?: code| status)?:? -?(?:9|137|143)\b",
    r"no space left|disk (?:is )?full|too many open files|database is locked|disk quota|read-only file system",
    r"connection (?:refused|reset)|could not connect|no route to host|name resolution|broken pipe",
    r"server closed the connection|lost connection|could not translate host name",
    r"name or service not known|no such host|too many connections|remaining connection slots",
    r"heartbeat|zombie|worker (?:lost|died)|executor .{0,80}reported that the task instance",
    r"\b50[0234] (?:internal|bad gateway|service unavailable|gateway time-?out)|rate exceeded|throttl",
    r"too many requests",
)
_SLOW = re.compile(r"tim(?:ed|e)[ -]?out|deadline exceeded|took too long|statement timeout", re.IGNORECASE)
_NONE = re.compile(r"^(?:\S+: )?(?:.{0,20}\bexit(?:ed)?\b.{0,30}\d+|failed|error)\.?$", re.IGNORECASE)

_OWN: tuple[tuple[OwnKind, re.Pattern[str]], ...] = (
    ("config", _CONFIG), ("access", _ACCESS), ("input", _INPUT), ("schema", _SCHEMA), ("code", _CODE),
)  # fmt: skip
_LIMITS: tuple[tuple[LimitKind, re.Pattern[str]], ...] = (("memory", _MEMORY), ("quota", _QUOTA))


def own(words: Sequence[str]) -> Iterator[tuple[OwnKind, list[str]]]:
    """What the run itself, or what it reads, is to blame for, with the lines that say so, the likeliest first."""
    return (
        (kind, hits) for kind, pattern in _OWN if (hits := [line for line in words if pattern.search(line, 0, CHARS)])
    )


def limits(words: Sequence[str]) -> Iterator[tuple[LimitKind, list[str]]]:
    """The limits that it ran into."""
    return (
        (kind, hits)
        for kind, pattern in _LIMITS
        if (hits := [line for line in words if pattern.search(line, 0, CHARS)])
    )


def platform(words: Sequence[str]) -> list[str]:
    """The lines that blame what it runs on."""
    return [line for line in words if _PLATFORM.search(line, 0, CHARS)]


def slow(words: Sequence[str]) -> list[str]:
    """The lines that say that a time was over."""
    return [line for line in words if _SLOW.search(line, 0, CHARS)]


def names_none(line: str) -> bool:
    """Whether a line only says that it failed."""
    return _NONE.search(line, 0, CHARS) is not None
