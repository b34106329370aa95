"""The formats of text lines: where each has its time and its level. One table; the first that fits is taken.

A line that begins with an ISO 8601 time needs no entry. Named groups: those of `stamps.stamp`; `keep`: what of the head
stays part of the message; how severe it is, by `levels`: `word` (must be one), `letter`, `severity` (of syslog),
`status` (of HTTP), `pri` (syslog's, but the text may say worse); `body`: where the text begins that may name a level.
"""

import re
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from msgspec import Struct

from backends.logs.levels import SYSLOG, level_of_status, level_of_word
from backends.logs.stamps import CLOCK, ISO, MONTH, OFFSET, Stamp, stamp_to
from backends.models import LogLevel

_ISO = ISO.pattern
_DAY = r"(?P<d>[ \d]?\d)"
_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_WORD = r"(?P<word>[A-Za-z]{3,11})"
_PRI = r"(?:<(?P<pri>\d{1,3})>)?"
_PLAIN_CLOCK = r"(?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d)(?:\.(?P<f>\d+))?"
_SYSLOG_TIME = rf"{MONTH} {_DAY}(?: (?P<Y>\d{{4}}))? {_PLAIN_CLOCK}"
_C_TIME = rf"{_WEEKDAY} {MONTH} {_DAY} {CLOCK}(?: (?P<z>[A-Z]{{3,4}}))? (?P<Y>\d{{4}})"


class TextFormat(Struct, frozen=True):
    """`starts`: with what characters such lines begin, as a class of a regular expression has them. `pattern` is
    compiled when the first such line comes: all of them at import would cost the console's first paint."""

    name: str
    starts: str
    source: str
    pattern: str


class Head(Struct, frozen=True):
    """What a format says of a line. `level`: None where it names none, `floor` is what syslog's priority says.
    `message` is all but time and level; at `body` of it a level may stand, if only in words (`is_prose`)."""

    at: Stamp
    level: LogLevel | None
    floor: LogLevel
    message: str
    body: int
    is_prose: bool = False


def _format(name: str, starts: str, source: str, *parts: str) -> TextFormat:
    return TextFormat(name, f"[{starts}]", source, "".join(parts))


TABLE = (
    _format("klog, glog", "IWEFC", "https://github.com/kubernetes/klog, https://google.github.io/glog/stable/logging/",
            rf"(?P<letter>[IWEFC])(?P<Y>\d{{4}}|\d\d)?(?P<m>\d\d)(?P<d>\d\d) {_PLAIN_CLOCK}\s+"),
    _format("abseil, before it knows its zone", "IWEF", "https://abseil.io/docs/cpp/guides/logging",
            r"(?P<letter>[IWEF])0000 00:00:(?P<e>\d{10})\.(?P<f>\d{6})\s+"),
    _format("ruby", "DIWEFA", "https://docs.ruby-lang.org/en/master/Logger.html",
            rf"(?P<letter>[DIWEFA]), \[{_ISO}(?: #\d+)?\]\s+(?:[A-Z]+ -- )?"),
    _format("tornado", r"\[", "https://www.tornadoweb.org/en/stable/log.html",
            rf"\[(?P<letter>[DIWEC]) (?P<Y>\d\d)(?P<m>\d\d)(?P<d>\d\d) {_PLAIN_CLOCK} (?=[^\]]*\])"),
    _format("jupyter", r"\[", "https://traitlets.readthedocs.io/en/stable/config-api.html (Application.log_format)",
            rf"\[(?P<letter>[DIWEC]) {_ISO} (?=[^\]]*\])"),
    _format("rfc5424", "<", "https://www.rfc-editor.org/rfc/rfc5424#section-6", rf"<(?P<pri>\d{{1,3}})>1 {_ISO} "),
    _format("rfc3164, time as ISO", "<", "https://www.rsyslog.com/doc/configuration/templates.html",
            rf"<(?P<pri>\d{{1,3}})>{_ISO}:? "),
    _format("haproxy", "<A-Z", "https://docs.haproxy.org/3.0/configuration.html#8.2.3",
            rf"{_PRI}{_SYSLOG_TIME}:? (?=(?:\S+ )?haproxy\[\d+\]: \S+ \[[^\]]+\] \S+ \S+ ",
            r"(?:[-+\d]+/){2,4}[-+\d]+ (?P<status>-?\d+) )"),
    _format("cisco", r"<A-Z*.\d",
            "https://www.cisco.com/c/en/us/td/docs/security/asa/syslog/asa-syslog/about.html",
            rf"{_PRI}(?P<keep>\d+: )?[*.]?{_SYSLOG_TIME}(?: (?P<z>[A-Z]{{3,4}}))?:? +",
            r"(?=.{0,80}?%[A-Z0-9_]+-(?P<severity>[0-7])-[A-Z0-9_]+)"),
    _format("haproxy, time as ISO", r"\d", "https://docs.haproxy.org/3.0/configuration.html#8.2.3",
            rf"{_ISO} (?=(?:\S+ )?haproxy\[\d+\]: \S+ \[[^\]]+\] \S+ \S+ ",
            r"(?:[-+\d]+/){2,4}[-+\d]+ (?P<status>-?\d+) )"),
    _format("rsyslog's own, Heroku", r"\d", "https://www.rsyslog.com/doc/configuration/templates.html",
            rf"{_ISO} (?=(?P<prose>\S+ (?=\S+\[\d+\]: |kernel: ))?",
            r"(?:\S+ )?[\w./()-]{1,48}(?:\[[^\]]*\])?: (?P<body>))"),
    _format("rfc3164", "<A-Z", "https://www.rfc-editor.org/rfc/rfc3164#section-4.1",
            rf"{_PRI}{_SYSLOG_TIME}:? (?=(?P<prose>\S+ )?(?:[\w./()-]{{1,48}}(?:\[[^\]]*\])?: (?P<body>))?)"),
    _format("java.util.logging", "A-Z",
            "https://docs.oracle.com/en/java/javase/21/docs/api/java.logging/java/util/logging/SimpleFormatter.html",
            rf"{MONTH} {_DAY}, (?P<Y>\d{{4}}),? {CLOCK}\s?(?P<p>AM|PM)?\s+"),
    _format("apache error", r"\[", "https://httpd.apache.org/docs/2.4/mod/core.html#errorlogformat",
            rf"\[{_C_TIME}\] \[(?:\w+:)?(?P<word>[a-z]+)\d?\] ?"),
    _format("ctime in brackets", r"\[", "dmesg(1), --ctime", rf"\[{_C_TIME}\] ?"),
    _format("journalctl", "A-Z", "journalctl(1), --output=short-full",
            rf"{_WEEKDAY} {_ISO} (?=(?:\S+ )?(?:[\w./()-]{{1,48}}(?:\[[^\]]*\])?: (?P<body>))?)"),
    _format("ctime", "A-Z", "ctime(3), date(1)", rf"{_C_TIME}:? ?"),
    _format("mail date", "A-Z", "https://www.rfc-editor.org/rfc/rfc5322#section-3.3",
            rf"{_WEEKDAY}, {_DAY} {MONTH} (?P<Y>\d{{4}}) {CLOCK} ?{OFFSET}:? ?"),
    _format("php", r"\[", "https://www.php.net/manual/en/errorfunc.configuration.php#ini.error-log",
            rf"\[(?P<d>\d\d)-{MONTH}-(?P<Y>\d{{4}}) {CLOCK}{OFFSET}\] ",
            r"(?=PHP (?P<word>Fatal error|Parse error|Warning|Notice|Deprecated): )"),
    _format("redis", r"\d", "https://github.com/redis/redis/blob/unstable/src/server.c (serverLogRaw)",
            rf"(?P<keep>\d+:[A-Z] )(?P<d>\d\d) {MONTH} (?P<Y>\d{{4}}) {_PLAIN_CLOCK} (?P<letter>[.*#-]) "),
    _format("day-month-year", r"\d\[", "Tomcat's catalina.out; BIND 9, print-time; Django; nginx $time_local",
            rf"\[?(?P<d>\d\d?)(?P<s3>[ /-]){MONTH}(?P=s3)(?P<Y>\d{{4}})[ :] ?{CLOCK}{OFFSET}\]?[ :]*"),
    _format("day.month.year", r"\d\[", "DIN 5008",
            rf"\[?(?P<d>\d\d)\.(?P<m>\d\d)\.(?P<Y>\d{{4}})[ T,]+{CLOCK}{OFFSET}\]?[ :]*"),
    _format("spark", r"\d", "https://github.com/apache/spark/blob/master/conf/log4j2.properties.template",
            rf"(?P<Y>\d\d)/(?P<m>\d\d)/(?P<d>\d\d) {CLOCK} (?=[A-Z]+ )"),
    _format("logcat", r"\d", "https://developer.android.com/tools/logcat#outputFormat",
            rf"(?P<m>\d\d)-(?P<d>\d\d) {_PLAIN_CLOCK}\s+\d+\s+\d+ (?P<letter>[VDIWEFA]) "),
    _format("mysql before 5.7", r"\d", "https://dev.mysql.com/doc/refman/5.7/en/error-log-format.html",
            r"(?P<Y>\d\d)(?P<m>\d\d)(?P<d>\d\d) +(?P<H>\d\d?):(?P<M>\d\d):(?P<S>\d\d) "),
    _format("squid", r"\d", "https://wiki.squid-cache.org/Features/LogFormat",
            r"(?P<e>\d{10})\.(?P<f>\d{3}) +(?=\d+ \S+ [A-Z_]+/(?P<status>\d{3}) )"),
    _format("seconds since 1970", r"\d\[", "https://assets.nagios.com/downloads/nagioscore/docs/nagioscore/4/en/",
            r"\[?(?P<e>\d{10})(?:(?:\.|(?=(?:\d{3}){1,3}(?!\d)))(?P<f>\d{1,9}))?\]?:?[ \t]+"),
    _format("audit", "t", "https://github.com/linux-audit/audit-documentation/wiki/SPEC-Audit-Event-Format",
            r"(?P<keep>type=[\w\[\]]+ msg=audit\((?P<e>\d{10})\.(?P<f>\d{3}):\d+\):)"),
    _format("access log", r"\w:.\[-", "https://httpd.apache.org/docs/2.4/logs.html#common",
            r"(?P<keep>(?:\S{1,255} )??\S{1,255} \S{1,64} .{1,64}? )",
            rf"\[(?P<d>\d\d)/{MONTH}/(?P<Y>\d{{4}})[: ]{CLOCK}{OFFSET}\] ",
            r'(?="(?:[^"\\]|\\.)*" (?P<status>\d{3})\b)'),
    _format("s3 server access", r"0-9a-f", "https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html",
            r"(?P<keep>[0-9a-f]{8,64} [\w.-]{3,63} )",
            rf"\[(?P<d>\d\d)/{MONTH}/(?P<Y>\d{{4}}):{CLOCK}{OFFSET}\] ",
            r'(?=(?:\S+ ){5}(?:"(?:[^"\\]|\\.)*"|-) (?P<status>\d{3})\b)'),
    _format("alb access", "hgw", "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/"
            "load-balancer-access-logs.html",
            rf"(?P<keep>(?:https?|h2|grpcs?|wss?) ){_ISO} (?=(?:\S+ ){{6}}(?P<status>\d{{3}}) )"),
    _format("nats", r"\[", "https://docs.nats.io/running-a-nats-service/configuration/logging",
            rf"(?P<keep>\[\d+\] ){_ISO} "),
    _format("zabbix", r" \d", "https://www.zabbix.com/documentation/current/en/manual/appendix/config/zabbix_server",
            r" *(?P<keep>\d+:)(?P<Y>\d{4})(?P<m>\d\d)(?P<d>\d\d):(?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d)\.(?P<f>\d{3}) "),
    _format("weblogic", "#<", "https://docs.oracle.com/en/middleware/standalone/weblogic-server/14.1.1.0/wllog/",
            rf"(?:####)?<{MONTH} {_DAY}, (?P<Y>\d{{4}}),? {CLOCK} ?(?P<p>AM|PM)?{OFFSET}> <{_WORD}> "),
    _format("level, then time", r"\w\[<", "log4j's %p %d, as Cassandra has it",
            rf"(?:{_WORD}|[\[<](?P<word2>[A-Za-z]{{3,11}})\s*[\]>])(?::\s*|\s+)",
            rf"(?P<keep>\[[^\]]{{1,64}}\] )?\s*[\[(]?{_ISO}[\])]?(?::|[ \t]*(?:[-|:][ \t]+)?)"),
    _format("vdsm", r"\w", "https://github.com/oVirt/vdsm/blob/master/static/etc/vdsm/logger.conf.in",
            rf"[\w-]+::{_WORD}::{_ISO}::"),
    _format("uwsgi", r"\[", "https://uwsgi-docs.readthedocs.io/en/latest/LogFormat.html",
            rf"(?P<keep>\[pid: .{{1,200}}? \[{_C_TIME}\] .*\(HTTP/[\d.]+ (?P<status>\d{{3}})\))"),
    _format("glassfish", r"\[", "https://docs.oracle.com/cd/E19798-01/821-1751/abluk/index.html",
            rf"\[#\|{_ISO}\|(?:[\w .-]*\|)??{_WORD}\|"),
)  # fmt: skip


@lru_cache(maxsize=1024)
def _beginning_with(first: str) -> "tuple[re.Pattern[str], ...]":
    return tuple(re.compile(form.pattern) for form in TABLE if re.match(form.starts, first))


def head_of(text: str, zone: ZoneInfo | None, written: datetime | None) -> Head | None:
    """What the first format that fits says of a line; None where none does."""
    for pattern in _beginning_with(text[:1]):
        if (found := pattern.match(text)) is None:
            continue
        groups = found.groupdict()
        word = groups.get("word") or groups.get("word2")
        level = _level(groups, word)
        if word and level == "unknown":
            continue
        at, end = stamp_to(found, zone, written)
        if at is None:
            continue
        kept, rest = groups.get("keep") or "", text[end:] if end == found.end() else text[end:].lstrip(" \t")
        body = found.start("body") - end + len(kept) if groups.get("body") is not None else len(kept)
        priority = groups.get("pri")
        floor = SYSLOG[int(priority) % 8] if priority else "unknown"
        is_prose = priority is None and groups.get("prose") is not None
        return Head(at, level, floor, kept + rest, body, is_prose)
    return None


_LETTERS = (
    r"(?P<mongo>[DIWEF])\d? +(?=[A-Z_]+ +\[)"  # https://www.mongodb.com/docs/v4.2/reference/log-messages/
    r"|(?P<letter>[TDINWEC]) (?=\| |\[(?:MSGID: |[\w.-]+\.c:))"  # etcd 3.3 (capnslog); GlusterFS
    r"|(?P<bang>[DIWE])! "  # https://github.com/influxdata/telegraf/blob/master/docs/CONFIGURATION.md
    r"|(?P<two>Al|Cr|Em|Er|Wa|No|In|Db)\(\d+\):? "  # ESXi 8 and later
    r"|(?P<word>critical|warning|information|notice|debug)/(?=\w+: )"  # Icinga 2
)
_TWO = {
    "al": "alert", "cr": "crit", "em": "emerg", "er": "err", "wa": "warn", "no": "notice", "in": "info", "db": "debug",
}  # fmt: skip
_REQUEST = r'.{0,400}?(?:"[A-Z]{3,10} \S+ HTTP/[\d.]+" (\d{3}) | (\d{3}) (?:\d{3}|-) \d+ \d+ "[A-Z]{3,10} \S+ HTTP)'


@lru_cache(maxsize=1)
def _behind_time() -> "tuple[re.Pattern[str], re.Pattern[str]]":
    return re.compile(_LETTERS), re.compile(_REQUEST)


def level_behind_time(body: str) -> tuple[LogLevel, int] | None:
    """(level, where the message begins) of what stands behind a time: a letter where a level stands, or the status of
    an HTTP request (Envoy, AWS's load balancers), which stays part of the message. None where neither does."""
    letters, request = _behind_time()
    if found := letters.match(body):
        said = str(found[found.lastgroup or 0])
        return level_of_word(_TWO.get(said.lower(), said)), found.end()
    if " HTTP/" in body and (found := request.match(body)):
        level = level_of_status(int(found[1] or found[2]))
        return (level, 0) if level != "unknown" else None
    return None


def _level(groups: dict[str, str | None], word: str | None) -> LogLevel | None:
    if said := word or groups.get("letter"):
        return level_of_word(said)
    if status := groups.get("status"):
        return level_of_status(int(status))
    if severity := groups.get("severity"):
        return SYSLOG[int(severity)]
    return None
