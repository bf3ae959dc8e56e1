"""Signatures: who made a pack. Everything else works without the library that makes them."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys

import pytest

from railgauge.cli import call, main
from railgauge.errors import UsageError
from railgauge_reports.pack import keys, names
from railgauge_reports.pack.checking import check

from .conftest import members, written
from .test_checking import in_order, resealed


@pytest.fixture
def key(tmp_path):
    keys.make_key(tmp_path / "key.pem")
    return tmp_path / "key.pem"


def public_of(key):
    return keys.read_public(key.with_name(f"{key.name}.pub"))


def test_a_key_is_made_that_only_its_owner_reads(tmp_path, capsys):
    assert main(["pack", "--make-key", str(tmp_path / "k.pem")]) == 0
    public = tmp_path / "k.pem.pub"
    assert stat.S_IMODE((tmp_path / "k.pem").stat().st_mode) == 0o600
    assert capsys.readouterr().out == f"{public} {keys.fingerprint(keys.read_public(public))}\n"


@pytest.mark.parametrize("there", ["k.pem", "k.pem.pub"])
def test_a_key_is_never_overwritten(tmp_path, there):
    (tmp_path / there).write_text("precious")
    with pytest.raises(UsageError, match="--make-key"):
        keys.make_key(tmp_path / "k.pem")
    assert [p.name for p in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "precious"


def test_a_signed_pack_is_good_and_known_with_its_key(packed, key, capsys):
    pack = packed(sign=key)
    assert check(pack).signature == "valid"
    public = f"{key}.pub"
    assert main(["verify", str(pack), "--key", public]) == 0
    assert "the key of --key" in capsys.readouterr().out


def test_the_same_run_signed_twice_gives_the_same_bytes(packed, key):
    pack = packed(sign=key)
    assert pack.read_bytes() == packed("b.zip", pack.parent / "run", sign=key).read_bytes()


def test_another_key_fails(packed, key, tmp_path, capsys):
    keys.make_key(tmp_path / "other.pem")
    pack = packed(sign=key)
    assert main(["verify", str(pack), "--key", str(tmp_path / "other.pem.pub")]) == 1
    assert "not by the key asked for" in capsys.readouterr().out


def test_a_pack_without_a_signature_fails_where_one_is_asked_for(packed, key, capsys):
    assert main(["verify", str(packed()), "--key", f"{key}.pub"]) == 1
    assert "a signature was asked for" in capsys.readouterr().out


def test_a_signature_that_was_taken_off_fails(packed, key):
    pack = packed(sign=key)
    content = members(pack)
    del content[names.SIGNATURE]
    checked = check(written(pack, content.items()))
    assert (checked.exit_code, checked.signature) == (1, "missing")


def test_a_forger_who_seals_again_cannot_sign(packed, key, tmp_path):
    pack = packed(sign=key)
    content = members(pack)
    content["runs/run/environment.json"] = b"{}"
    forged = resealed(content)
    checked = check(written(pack, in_order(forged)))
    assert (checked.exit_code, checked.signature) == (1, "bad")
    # without any signature it is a pack of somebody's, and not of the key's
    del forged[names.SIGNATURE]
    written(pack, in_order(resealed(forged, signer=None)))
    assert check(pack).exit_code == 0
    assert check(pack, public_of(key)).exit_code == 1
    # a key of the forger's own does not help
    keys.make_key(tmp_path / "own.pem")
    own = keys.read_private(tmp_path / "own.pem")
    forged = resealed(forged, signer=keys.signer(own))
    forged[names.SIGNATURE] = own.sign(forged[names.MANIFEST])
    written(pack, in_order(forged))
    assert check(pack).signature == "valid"
    assert check(pack, public_of(key)).signature == "other key"
    # nor does the name of the right key beside a key of his own
    signer = keys.signer(keys.read_private(key))
    named = type(signer)(
        algorithm=signer.algorithm, key=signer.key, public_key=keys.signer(own).public_key
    )
    forged = resealed(forged, signer=named)
    forged[names.SIGNATURE] = own.sign(forged[names.MANIFEST])
    written(pack, in_order(forged))
    assert check(pack).signature == "bad"


def test_a_signature_of_odd_length_or_by_an_odd_key_is_bad(packed, key):
    pack = packed(sign=key)
    content = members(pack)
    for signature in (b"", bytes(63), bytes(64), bytes(65)):
        assert check(written(pack, (content | {names.SIGNATURE: signature}).items())).exit_code == 1
    signer = keys.signer(keys.read_private(key))
    odd = type(signer)(algorithm="Ed25519", key=signer.key, public_key="nonsense")
    assert check(written(pack, in_order(resealed(content, signer=odd)))).signature == "bad"


def test_a_signature_nobody_announced_is_seen(packed):
    pack = packed()
    content = members(pack) | {names.SIGNATURE: bytes(64)}
    assert "is not in manifest.json" in "\n".join(check(written(pack, in_order(content))).problems)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_openssl_checks_the_signature_as_the_readme_of_a_pack_says(packed, key, tmp_path):
    pack = packed(sign=key)
    call(["verify", str(pack), "--extract", str(tmp_path / "out")])
    words = "openssl pkeyutl -verify -pubin -rawin -in manifest.json -sigfile manifest.sig -inkey"
    done = subprocess.run(
        [*words.split(), f"{key}.pub"], cwd=tmp_path / "out", capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff" * 100, None])
def test_what_is_no_key_is_named(packed, tmp_path, content):
    file = tmp_path / "k"
    if content is not None:
        file.write_bytes(content)
    pack = packed()
    with pytest.raises(UsageError, match=r"--sign .*k: no private key"):
        packed("b.zip", tmp_path / "run", sign=file)
    with pytest.raises(UsageError, match=r"--key .*k: no public key|--key .*k"):
        call(["verify", str(pack), "--key", str(file)])


def test_keys_of_the_other_kind_or_algorithm_are_named(key, tmp_path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    with pytest.raises(UsageError, match="it is a private key"):
        keys.read_public(key)
    with pytest.raises(UsageError, match="no private key"):
        keys.read_private(key.with_name("key.pem.pub"))
    other = ec.generate_private_key(ec.SECP256R1())
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file = tmp_path / "ec.pem"
    file.write_bytes(other.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    with pytest.raises(UsageError, match="another algorithm"):
        keys.read_private(file)
    file.write_bytes(other.private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"x")))
    with pytest.raises(UsageError, match="passphrase"):
        keys.read_private(file)
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    file.write_bytes(other.public_key().public_bytes(pem, spki))
    with pytest.raises(UsageError, match="another algorithm"):
        keys.read_public(file)


def test_without_the_library_all_but_signatures_works(packed, key, monkeypatch, capsys):
    signed, plain = packed(sign=key), packed("plain.zip", key.parent / "run")
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert main(["verify", str(plain)]) == 0
    assert main(["verify", str(signed)]) == 0
    assert "NOT checked: pip install 'railgauge[sign]'" in capsys.readouterr().out
    for arguments in (
        ["verify", str(signed), "--key", f"{key}.pub"],
        ["pack", "--make-key", f"{key}2"],
        ["pack", str(key.parent / "run"), "--sign", str(key), "--output", f"{key}.zip"],
    ):
        assert main(arguments) == 2
        assert "pip install 'railgauge[sign]'" in capsys.readouterr().err
    assert not key.with_name("key.pem.zip").exists()
