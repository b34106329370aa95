"""What of the words of a command is a secret by its place: never shown, and never said afterwards."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends import literals
from backends.literals import is_secret_header, masked, secret_in_url, secrets_in_command, shown_command

HIDDEN = [
    (["x", "--password", "S3cretWord"], "x --password '***'"),
    (["x", "--db-password", "S3cretWord", "--force"], "x --db-password '***' --force"),
    (["x", "-token", "S3cretWord"], "x -token '***'"),
    (["x", "--password", "/S3cretWord"], "x --password '***'"),
    (["x", "--api-key=S3cretWord"], "x '--api-key=***'"),
    (["env", "PGPASSWORD=S3cretWord", "psql"], "env 'PGPASSWORD=***' psql"),
    (["sshpass", "-p", "S3cretWord", "ssh", "-p", "2222", "h"], "sshpass -p '***' ssh -p 2222 h"),
    (["/usr/bin/mysql", "-pS3cretWord"], "/usr/bin/mysql '-p***'"),
    (["curl", "-u", "me:S3cretWord", "http://h/"], "curl -u 'me:***' http://h/"),
    (["curl", "-H", "Authorization: Bearer S3cretWord"], "curl -H 'Authorization: *** ***'"),
    (["curl", "http://u:S3cretWord@h/"], "curl 'http://u:***@h/'"),
    (["/bin/sh", "-c", "exit 3", "-pS3cretWord9"], "/bin/sh -c 'exit 3' '-p***'"),
    (["sh", "-c", "/usr/bin/mysqldump -u x -pS3cretWord db | gzip"], "sh -c '/usr/bin/mysqldump -u x -p*** db | gzip'"),
    (["env", "DB_PASS=S3cretWord", "x"], "env 'DB_PASS=***' x"),
    (["env", "DBPASS=S3cretWord", "x"], "env 'DBPASS=***' x"),
    (["sh", "-c", "SIGNING_KEY=S3cretWord deploy"], "sh -c 'SIGNING_KEY=*** deploy'"),
    (["x", "--pass=S3cretWord"], "x '--pass=***'"),
    (["x", "--key", "S3cretWord"], "x --key '***'"),
    (["x", "key=S3cretWord"], "x 'key=***'"),
    (["curl", "http://h/?key=S3cretWord&a=b"], "curl 'http://h/?key=***&a=b'"),
    (["sh", "-c", "deploy --password S3cretWord --to {color}"], "sh -c 'deploy --password *** --to {color}'"),
    (["sh", "-c", "deploy --password 'S3cretWord x' now"], "sh -c 'deploy --password *** now'"),
]
SHOWN = [
    ["x", "--token-file", "/run/secrets/t", "--password-env", "PW"],
    ["x", "--password", "{version}"],
    ["x", "--no-password", "now"],
    ["mkdir", "-p", "/srv/x"], ["docker", "-p", "8080:80"], ["kubectl", "patch", "-p", '{"spec": 1}'],
    ["curl", "-u", "me"],
    ["sh", "-c", "deploy --token-file /run/t now"],
    ["x", "--author", "Somebody1", "--key", "/etc/x.pem", "--partition-key", "order-id", "BYPASS=yes", "KEY={version}"],
    ["go", "-parallel=4", "-p", "8", "-project", "Shop1234"], ["docker", "-p8080:80", "-p127.0.0.1:8081"],
    ["cp", "-pR", "a", "b"], ["x", "DESIGN=Shop1234", "MONKEY=Shop1234", "KEYSPACE=Shop1234"],
]  # fmt: skip


@pytest.mark.parametrize(("command", "shown"), HIDDEN)
def test_a_secret_word_is_stars_wherever_the_command_is_shown(command: list[str], shown: str) -> None:
    said = shown_command(command)
    assert "S3cretWord" not in said
    assert said.replace("*** ***", "***").replace("'", "") == shown.replace("*** ***", "***").replace("'", "")
    assert "S3cretWord" not in str(masked({"deploy": command}, lambda _: False))
    assert any("S3cretWord" in secret for secret in secrets_in_command(command))


@pytest.mark.parametrize("command", SHOWN)
def test_other_words_are_as_they_are(command: list[str]) -> None:
    assert shown_command(command).replace("'", "") == " ".join(command).replace("'", "")
    assert list(secrets_in_command(command)) == []


@pytest.mark.parametrize("name", ["key", "sig", "access_token", "X-Amz-Signature", "api-key", "pass", "auth", "apikey"])
def test_a_parameter_of_a_url_is_told_by_the_same_names(name: str) -> None:
    url = f"http://h/health?a=b&{name}=S3cretWord"
    assert secret_in_url(url) == f"a secret inside a URL (`{name}`)"
    assert masked({"health": url}, lambda _: False) == {"health": f"http://h/health?a=b&{name}=***"}
    assert is_secret_header(name)


@pytest.mark.parametrize("name", ["sort_key", "author", "design", "keyspace", "bypass", "partition-key", "monkey"])
def test_other_names_are_none(name: str) -> None:
    assert secret_in_url(f"http://h/health?{name}=S3cretWord") == ""
    assert not is_secret_header(name)


PIECES = st.sampled_from([
    "-", "--", "=", ":", "/", ".", " ", "x", "S3cretWord", "p", "P", "u", "User", "http", "://", "@", "pass", "PASS",
    "to", "ken", "Key", "\u212aey", "a\u017f\u017f", "auth", "s", "ig", "jw", "t", "mysql", "Bearer", "ba", "sic",
    "coo", "kıe", "pwd", "cred", "ential", "web", "hook", "'", "?", "&", "%6b", "+",
])  # fmt: skip


@given(st.lists(st.lists(PIECES, min_size=1, max_size=7).map("".join), min_size=1, max_size=4))
@settings(max_examples=2000, deadline=None)
def test_a_command_that_is_not_looked_at_closely_hides_nothing(command: list[str]) -> None:
    if not literals._may_hide(" ".join(command)):
        assert [literals._masked_text(word) for word in literals.masked_words(command)] == command
