"""What of the words of a command is a secret by its place: never shown, and never said afterwards."""

import pytest

from backends.literals import masked, secrets_in_command, shown_command

HIDDEN = [
    (["x", "--password", "S3cretWord"], "x --password '***'"),
    (["x", "--db-password", "S3cretWord", "--force"], "x --db-password '***' --force"),
    (["x", "-token", "S3cretWord"], "x -token '***'"),
    (["x", "--api-key=S3cretWord"], "x '--api-key=***'"),
    (["env", "PGPASSWORD=S3cretWord", "psql"], "env 'PGPASSWORD=***' psql"),
    (["sshpass", "-p", "S3cretWord", "ssh", "-p", "2222", "h"], "sshpass -p '***' ssh -p 2222 h"),
    (["/usr/bin/mysql", "-pS3cretWord"], "/usr/bin/mysql '-p***'"),
    (["curl", "-u", "me:S3cretWord", "http://h/"], "curl -u 'me:***' http://h/"),
    (["curl", "-H", "Authorization: Bearer S3cretWord"], "curl -H 'Authorization: *** ***'"),
    (["curl", "http://u:S3cretWord@h/"], "curl 'http://u:***@h/'"),
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
