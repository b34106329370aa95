"""Below its table `deploy status` says of every kind of switch why it is unknown, and how what is missing is begun."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.console.test_foreground import Teal
from tests.console.test_orphan_commands import said

SIDES = 'servers = { blue = ["127.0.0.1:9"], green = ["127.0.0.1:9"] }'
ENTRIES = {
    "file-switch": 'path = "gone/switch.json"',
    "nginx": f"""include = "gone/web.conf"\nupstream = "web"\n{SIDES}\nstamp_url = "http://127.0.0.1:9/__color"
validate = ["true"]\nreload = ["true"]""",
    "haproxy": 'nodes = ["unix:/gone.sock"]\nbackend = "web"\nservers = { blue = ["b"], green = ["g"] }',
    "kubernetes": 'kubeconfig = "kubeconfig"\nkube_context = "gone"\nservice = "web"\nnamespace = "n"',
}


@pytest.fixture
def teal(tmp_path: Path) -> Teal:
    config = tmp_path / "config.toml"
    entries = [
        f'[[contexts.c.deployments]]\nname = "{name}"\ntype = "{name}"\n{keys}' for name, keys in ENTRIES.items()
    ]
    config.write_text("\n".join(['default_context = "c"\n[contexts.c]', *entries]))
    config.chmod(0o600)
    kubeconfig = {
        "contexts": [{"name": "gone", "context": {"cluster": "gone", "user": "gone"}}],
        "clusters": [{"name": "gone", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "gone", "user": {}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    (tmp_path / "kubeconfig").chmod(0o600)
    return Teal(tmp_path, config)


async def test_every_switch_that_is_unknown_says_why_and_a_file_how_it_is_begun(teal: Teal, tmp_path: Path) -> None:
    _, out, err = await said(teal, "deploy", "status")
    whys = {
        name: line.removeprefix(f"{name}: ")
        for line in out.splitlines()
        for name in ENTRIES
        if line.startswith(f"{name}: ")
    }
    assert set(whys) == set(ENTRIES) - {"kubernetes"}, (out, err)
    assert "gone.sock: no such socket" in whys["haproxy"]
    assert "deployments.kubernetes: http://127.0.0.1:9/api/v1/namespaces/n/services/web: connection refused" in err
    for name, file in (("file-switch", "switch.json"), ("nginx", "web.conf")):
        assert whys[name].endswith(f"gone/{file}: no such file; no fresh request proves which side is live")
        at = out.splitlines().index(f"{name}: {whys[name]}")
        begin, _, command = out.splitlines()[at + 1].partition("BLUE serves: ")
        assert begin == "  begin it, only where "
        assert out.splitlines()[at + 2].startswith("  begin it, only where GREEN serves: mkdir -p ")
        assert command.startswith("mkdir -p ")
        assert out.count(command) == 1
        assert "mkdir" not in err
        subprocess.run(["sh", "-c", command], check=True)
        assert "blue" in (tmp_path / "gone" / file).read_text()
    _, out, _ = await said(teal, "deploy", "status")
    assert "no such file" not in out
    assert "file-switch" in out


async def test_status_says_why_too_in_one_short_line_each(teal: Teal) -> None:
    _, out, _ = await said(teal, "status")
    whys = [line.strip() for line in out.splitlines() if line.strip().startswith(tuple(ENTRIES))]
    assert len(whys) == len(ENTRIES) - 1, out
    assert "? kubernetes  unknown: http://127.0.0.1:9/api/v1/namespaces/n/services/web: connection refused" in out
    assert not [line for line in whys if len(line) > 160 or "begin it" in line]


@pytest.mark.parametrize("words", [("doctor",), ("config", "validate"), ("check",), ("status",)])
async def test_elsewhere_it_is_one_line_that_points_there(teal: Teal, words: tuple[str, ...]) -> None:
    """It was a line of 700 characters, on stdout and on stderr."""
    _, out, err = await said(teal, *words)
    assert "web.conf: no such file" in out + err
    assert "printf" not in out + err
    if words != ("status",) and words != ("check",):
        assert "teal deploy status nginx" in out + err
